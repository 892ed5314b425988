"""The visual question answering task: answers one question about one picture."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from app.domain.model import Capabilities
from app.services.answers.exact import SchemaForm
from app.services.answers.fence import fenced
from app.services.answers.form import Model, ModelAnswer
from app.services.answers.lenient import Nullable, Text, notes_of, sparing, synonyms
from app.services.answers.probability import Chance, Measure, ranked
from app.services.answers.schemas.conform import folded
from app.services.answers.text.numbers import Hints, NumberError, number
from app.services.answers.text.words import judges
from app.services.deferred_model import DeferredModel
from app.services.evidence.claim import Claim
from app.services.tasks.capability import Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    Example,
    Finding,
    Question,
    Result,
    Task,
    TaskParameterError,
    VerifiedParameters,
    left_out,
    only,
)

MAX_CHOICES = 32
UNLESS = " If the picture does not show the answer, it is null."

Confidence = Literal["high", "medium", "low"]


class VqaParameters(VerifiedParameters):
    """The question and, optionally, the possible answers."""

    question: Annotated[str, Field(min_length=1, max_length=2000, description="What to find out.")]
    choices: Annotated[
        list[Annotated[str, Field(max_length=200, pattern=r"^\S(?:[^\r\n]*\S)?$")]],
        Field(max_length=MAX_CHOICES, description="The answer is one of these; none: any words."),
    ] = []  # noqa: RUF012 - Pydantic copies it


_CONFIDENCE = synonyms(
    high="very high,highest,certain,very confident,confident,sure,hoch,sehr hoch,élevée,alta,haute",
    medium="moderate,mid,average,fair,mittel,moyenne,media,média",
    low=(
        "very low,lowest,uncertain,unsure,not sure,niedrig,gering,sehr niedrig,faible,basse,"
        "baja,bassa,baixa"
    ),
)


def _confidence(value: object, info: ValidationInfo) -> object:
    """Convert a numeric confidence to the corresponding word and add a warning."""
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
    # Numbers above ten are percentages; 5 and 10 may be out of ten.
    share = share / 100 if 10 < share <= 100 else share
    if not 0 <= share <= 1:
        return value
    word = _word(share)
    notes_of(info).say(
        "confidence_in_words", f"The confidence {value[:20]!r} was taken for {word}."
    )
    return word


def _word(share: float) -> Confidence:
    return "high" if share >= 0.8 else "medium" if share >= 0.5 else "low"


_NOT_SHOWN = frozenset(
    folded(words)
    for words in ("null", "not shown", "not visible", "it is not shown", "it is not visible")
) | {""}


def _shown(value: object) -> object:
    """Convert the usual words for "the picture does not show it" to null."""
    return None if isinstance(value, str) and folded(value) in _NOT_SHOWN else value


class VqaAnswer(ModelAnswer):
    """The form of the model's answer."""

    spared: ClassVar[frozenset[str]] = frozenset({"confidence"})
    spoken: ClassVar[tuple[str, ...]] = ("answer",)
    witness: ClassVar[str | None] = "evidence"

    answer: Annotated[Text | None, Field(min_length=1), BeforeValidator(_shown)]
    confidence: Annotated[
        Confidence | None,
        *sparing({"enum": ["high", "medium", "low"], "type": "string"}),
        BeforeValidator(_confidence),
    ]
    evidence: Annotated[
        Nullable[Text], Field(description="what in the picture shows it, one phrase")
    ] = None


class ChoiceOut(DeferredModel):
    """One of the possible answers."""

    choice: str
    probability: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="By the model's log probabilities; null if it was not among the likeliest.",
        ),
    ]


class VqaResult(Result):
    """The answer and its basis."""

    answer: Annotated[
        str | None, Field(description="Null if the picture does not show the answer.")
    ]
    found: Annotated[bool, Field(description="Whether the picture shows the answer.")]
    confidence: Annotated[
        Confidence | None,
        Field(
            description="`confidence_probability` as a word, `high` from 0.8, `medium` from 0.5; "
            "if that is missing, the model's own word, which is not a calibrated probability. Null "
            "if it gave no known word."
        ),
    ]
    confidence_probability: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Of the answer's tokens, by the model's log probabilities; left out if "
            "there are none.",
        ),
        left_out(None),
    ] = None
    evidence: Annotated[
        str | None, Field(description="What in the picture shows it; null if nothing was named.")
    ]
    choices: Annotated[
        list[ChoiceOut],
        Field(
            description="Those of the request, likeliest first, unknown ones last; left out if "
            "there were none."
        ),
        left_out([]),
    ] = []  # noqa: RUF012 - Pydantic copies it


def questions(parameters: VqaParameters, _: int, able: Capabilities) -> Sequence[Question[Any]]:
    """Return a single question."""
    text = prompt("vqa").filled(
        question=fenced("question", parameters.question),
        unless="" if parameters.choices else UNLESS,
    )
    options = tuple(parameters.choices)
    measures = (Measure("answer", options),) if able.logprobs else ()
    form = _closed(options) if options else Model(VqaAnswer)
    return (Question(text, form, measures=measures, language="" if options else None),)


def _closed(options: tuple[str, ...]) -> SchemaForm:
    if len({folded(option) for option in options}) < max(2, len(options)):
        raise TaskParameterError("choices", "have to be two at least, and different ones")
    answer = {"type": "string", "enum": list(options)}
    return SchemaForm({"type": "object", "properties": {"answer": answer}, "required": ["answer"]})


def conclude(parameters: VqaParameters, findings: Sequence[Finding[Any]]) -> VqaResult:
    """Return the answer."""
    reply: VqaAnswer | dict[str, Any] = only(findings)
    answer = reply if isinstance(reply, VqaAnswer) else VqaAnswer.model_construct(**_bare(reply))
    chance = findings[0].chances.get("answer")
    # Used only for the value that was read, as a corrected answer has other tokens.
    if chance is not None and chance.value != answer.answer:
        chance = None
    return VqaResult(
        answer=answer.answer,
        found=answer.answer is not None,
        confidence=answer.confidence if chance is None else _word(chance.probability),
        confidence_probability=None if chance is None else round(chance.probability, 4),
        evidence=answer.evidence,
        choices=_choices(parameters.choices, chance),
    )


def claims(result: VqaResult) -> Iterator[Claim]:
    """Yield a claim for the answer, unless it is yes or no, with the model's evidence as quote."""
    if result.answer is not None and not judges(result.answer):
        probability = result.confidence_probability
        yield Claim(("answer",), result.answer, quote=result.evidence, probability=probability)


def _bare(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the result's fields for an answer chosen from a list."""
    return {"answer": reply["answer"], "confidence": None, "evidence": None}


def _choices(options: Sequence[str], chance: Chance | None) -> list[ChoiceOut]:
    return [
        ChoiceOut(choice=option, probability=None if p is None else round(p, 4))
        for option, p in ranked(options, chance)
    ]


VQA = Task(
    name="vqa",
    summary="Answer a question about a picture",
    description="A short answer, how sure the model is, and what in the picture shows it; or one "
    "of `choices`, with their probabilities if the model returns log probabilities.",
    parameters=VqaParameters,
    result=VqaResult,
    questions=questions,
    conclude=conclude,
    claims=claims,
    capability=Capability(
        basis="VQAv2 75.2; short answers about photos.",
        untrained=("confidence in words",),
    ),
    example=Example(
        parameters={"question": "What animal is this?"},
        result={
            "answer": "A cat",
            "found": True,
            "confidence": "high",
            "confidence_probability": 0.93,
            "evidence": "whiskers and pointed ears",
        },
    ),
)
