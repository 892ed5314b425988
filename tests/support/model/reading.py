"""Reads a model's answer as the services do."""

from typing import TypeVar

from app.domain.generation import StopReason
from app.services.answers.form import Form
from app.services.answers.reading import read

AnswerT = TypeVar("AnswerT")


def answer_in(text: str, form: Form[AnswerT], stop: StopReason = StopReason.STOP) -> AnswerT:
    """Return the answer in ``text``, which must not be a refusal, or raise AnswerError."""
    answer = read(text, form, stop).answer
    assert answer is not None
    return answer
