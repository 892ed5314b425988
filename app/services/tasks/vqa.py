"""Visual question answering: one question about one picture."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from app.services.answers.conform import folded
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.instruction import with_schema
from app.services.answers.lenient import Nullable, Text, notes_of, sparing, synonyms
from app.services.answers.numbers import Hints, NumberError, number
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import Example, Finding, Parameters, Question, Result, Task, only

Confidence = Literal["high", "medium", "low"]


class VqaParameters(Parameters):
    """What is asked."""

    question: Annotated[str, Field(min_length=1, max_length=2000, description="What to find out.")]


_CONFIDENCE = synonyms(
    high="very high,highest,certain,very confident,confident,sure,hoch,sehr hoch,élevée,alta,haute",
    medium="moderate,mid,average,fair,mittel,moyenne,media,média",
    low=(
        "very low,lowest,uncertain,unsure,not sure,niedrig,gering,sehr niedrig,faible,basse,"
        "baja,bassa,baixa"
    ),
)


def _confidence(value: object, info: ValidationInfo) -> object:
    """Take a share for the word that it amounts to, and say so."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        return value
    known = _CONFIDENCE.get(folded(re.split(r"[(,;]|\s[-–—]\s", value)[0]))  # noqa: RUF001
    if known is not None:
        return known
    try:
        share = number(value, Hints(share=True))
    except NumberError:
        return value.strip().lower()
    # More than ten of one are percent; 5 and 10 may be out of ten.
    share = share / 100 if 10 < share <= 100 else share
    if not 0 <= share <= 1:
        return value
    word = "high" if share >= 0.8 else "medium" if share >= 0.5 else "low"
    notes_of(info).say(
        "confidence_in_words", f"The confidence {value[:20]!r} was taken for {word}."
    )
    return word


class VqaAnswer(ModelAnswer):
    """Asked of the model."""

    spared: ClassVar[frozenset[str]] = frozenset({"confidence"})
    spoken: ClassVar[tuple[str, ...]] = ("answer",)
    witness: ClassVar[str | None] = "evidence"

    answer: Annotated[Text, Field(min_length=1)]
    confidence: Annotated[
        Confidence | None,
        *sparing({"enum": ["high", "medium", "low"], "type": "string"}),
        BeforeValidator(_confidence),
    ]
    evidence: Annotated[
        Nullable[Text], Field(description="what in the picture shows it, one phrase")
    ] = None


class VqaResult(Result):
    """The answer and what it rests on."""

    answer: str
    confidence: Annotated[
        Confidence | None,
        Field(
            description="The model's own word; not a calibrated probability. Null where it gave "
            "none that is known."
        ),
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
