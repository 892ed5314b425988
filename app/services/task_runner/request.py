"""Requests for tasks, and their answers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from app.domain.errors import ServiceError
from app.domain.generation import CallContext, Generation, ImageInput, Sampling
from app.domain.model import Language
from app.services.answers.text.notes import Refusal
from app.services.concurrency import idempotency
from app.services.documents.page import Origin
from app.services.tasks.spec import Parameters, Result, Task

Patience = Callable[[ServiceError, int], float | None]
"""Returns the seconds after which a question that failed so for the nth time, from 0, is asked
again; None where that is its answer."""


def impatient(error: ServiceError, times: int) -> float | None:
    """Ask nothing again: somebody waits, and may ask again what is missing."""
    del error, times
    return None


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A caller's request for a task."""

    task: Task[Any, Any]
    parameters: Parameters
    images: tuple[ImageInput, ...]
    sampling: Sampling
    language: Language | None
    call_context: CallContext
    most_pages: int | None = None
    """Pages of all documents together; None for what one request may have at once."""
    patience: Patience = impatient
    """Retries questions that failed although others were answered."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The text that the model wrote in one call."""

    text: str
    page: int | None = None
    """Number of the page or position of the picture it was about, from 1; None for no or all."""
    file: str | None = None
    """Place of its file in the request."""
    number: int | None = None
    """The number of the page in its file, from 1."""


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """A task's answer to the caller."""

    task: str
    prompt_version: str
    result: Result | None
    """None where the model's answer could not be made valid."""
    evidence: dict[str, Any] | None
    """Evidence for the values of ``result``, in its shape; None if there is none."""
    faults: tuple[str, ...]
    """Why ``result`` is None, or what the model refused to say beside it."""
    refusal: Refusal | None
    """The first refusal, where there was one."""
    repaired: bool
    """Whether an answer was asked for again."""
    calls: int
    """Calls of the model, all of them paid for."""
    generation: Generation
    """Raw texts, token counts and latencies of all calls together."""
    raw: tuple[RawAnswer, ...] = ()
    """The raw texts one by one, in the order of the questions."""


def fingerprint(request: TaskRequest) -> bytes:
    """Digest everything that decides the answer, but not the call's options."""
    # The parameters may stand in a body together with pictures, and with how it is answered.
    own = request.parameters.model_dump(include=request.task.parameters.model_fields.keys())
    outline = (
        request.task.name,
        own,
        request.sampling,
        request.language,
        request.call_context.guardrail,
    )
    return idempotency.digested(outline, request.images)


def slim(answer: TaskAnswer) -> TaskAnswer:
    """Return ``answer`` without its pictures' bytes, which it doesn't show."""
    return replace(answer, generation=idempotency.slim(answer.generation))


@dataclass(frozen=True, slots=True)
class Progress:
    """One question of several has been dealt with."""

    done: int
    total: int
    page: int
    fault: str | None
    text: str | None = None
    """The text that was read, for tasks that read text."""
    origin: Origin = field(default_factory=Origin)
    """The file and the page in it."""
    page_result: BaseModel | None = None
    """The page's part of the result, as this answer alone makes it; None where it has none."""


Notify = Callable[[Progress], None]


def ignored(progress: Progress) -> None:
    """Tell nobody."""
    del progress
