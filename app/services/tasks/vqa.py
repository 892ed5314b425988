"""Visual question answering: one question about one picture."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.services.answers.fence import fenced
from app.services.answers.form import Model
from app.services.answers.lenient import Nullable, Text, Word
from app.services.tasks.prompt import prompt, with_schema
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

Confidence = Literal["high", "medium", "low"]


class VqaParameters(Parameters):
    """What is asked."""

    question: Annotated[str, Field(min_length=1, max_length=2000, description="What to find out.")]


class VqaAnswer(BaseModel):
    """Asked of the model."""

    answer: Annotated[Text, Field(min_length=1)]
    confidence: Word[Confidence]
    evidence: Annotated[
        Nullable[Text], Field(description="what in the picture shows it, one phrase")
    ] = None


class VqaResult(Result):
    """The answer and what it rests on."""

    answer: str
    confidence: Annotated[
        Confidence, Field(description="The model's own word; not a calibrated probability.")
    ]
    evidence: Annotated[
        str | None, Field(description="What in the picture shows it; null where nothing was named.")
    ]


def questions(parameters: VqaParameters, _: int) -> Sequence[Question[VqaAnswer]]:
    """Ask once."""
    form = Model(VqaAnswer)
    text = prompt("vqa").filled(question=fenced("question", parameters.question))
    return (Question(with_schema(text, form.schema), form),)


def conclude(_: VqaParameters, findings: Sequence[Finding[VqaAnswer]]) -> VqaResult:
    """Return the answer."""
    return VqaResult(**only(findings).model_dump())


VQA = Task(
    name="vqa",
    summary="Answer a question about a picture",
    description="A short answer, how sure the model says it is, and what in the picture shows it.",
    parameters=VqaParameters,
    result=VqaResult,
    questions=questions,
    conclude=conclude,
    example=Example(
        parameters={"question": "What animal is this?"},
        result={"answer": "A cat", "confidence": "high", "evidence": "whiskers and pointed ears"},
    ),
)
