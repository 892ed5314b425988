"""The classify task: decides which labels of a closed list fit a picture."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import Field

from app.domain.model import Capabilities
from app.services.answers.exact import SchemaForm
from app.services.answers.probability import Chance, Measure, of_truth, ranked
from app.services.deferred_model import DeferredModel
from app.services.tasks.capability import Capability
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    Example,
    Finding,
    Parameters,
    Question,
    Result,
    Task,
    TaskParameterError,
    UnansweredError,
    only,
)

MAX_LABELS = 63
"""Maximum labels; with `OTHER` as many as an imported model accepts as a choice."""
OTHER = "other"
_ELSE = f' If none fits, it is "{OTHER}".'
_ONE = " At least one does."
_BOTH = ("true", "false")


class ClassifyParameters(Parameters):
    """The labels and whether several or none of them may fit."""

    labels: Annotated[
        list[Annotated[str, Field(max_length=200, pattern=r"^\S(?:[^\r\n]*\S)?$")]],
        Field(min_length=1, max_length=MAX_LABELS, description="To choose from, each once."),
    ]
    multiple: Annotated[
        bool, Field(description="Each label is judged by itself, and several may fit.")
    ] = False
    other: Annotated[
        bool,
        Field(description="None of the labels may fit; otherwise the nearest one is chosen."),
    ] = True


class LabelOut(DeferredModel):
    """A label of the request."""

    label: str
    probability: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="By the model's log probabilities; null if they do not tell it. With "
            "`multiple` each label is judged by itself, so they do not add up to 1.",
        ),
    ]


class ClassifyResult(Result):
    """The labels that fit."""

    labels: Annotated[
        list[str], Field(description="Those that fit, likeliest first; empty if none does.")
    ]
    other: Annotated[bool, Field(description="Whether none of the labels fits.")]
    other_probability: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="The probability that none fits, like the labels' own; null if unknown, "
            "and with `multiple`.",
        ),
    ]
    ranking: Annotated[
        list[LabelOut],
        Field(
            description="All labels: those that fit, then the rest, each likeliest first. The "
            "order of labels without a probability means nothing."
        ),
    ]


def questions(
    parameters: ClassifyParameters, _: int, able: Capabilities
) -> Sequence[Question[dict[str, Any]]]:
    """Return a single question, for the best label or about each label."""
    _check(parameters)
    if parameters.multiple:
        schema = _object({label: {"type": "boolean"} for label in parameters.labels})
        measures = [Measure(label, _BOTH) for label in parameters.labels]
        wish = "say of each label whether it fits."
        text = prompt("classify").filled(how=wish + ("" if parameters.other else _ONE))
    else:
        options = (*parameters.labels, *((OTHER,) if parameters.other else ()))
        schema = _object({"label": {"type": "string", "enum": list(options)}})
        measures = [Measure("label", options)]
        wish = "choose the one label that fits best."
        text = prompt("classify").filled(how=wish + (_ELSE if parameters.other else ""))
    return (Question(text, SchemaForm(schema), measures=tuple(measures) if able.logprobs else ()),)


def _check(parameters: ClassifyParameters) -> None:
    known = {" ".join(normalize("NFC", label).casefold().split()) for label in parameters.labels}
    if len(known) < len(parameters.labels):
        raise TaskParameterError(
            "labels", "have to differ in more than case, spaces and the encoding of accents"
        )
    if not parameters.multiple and parameters.other and OTHER in known:
        raise TaskParameterError("labels", f"hold {OTHER!r} already; set other to false")
    if len(known) == 1 and not parameters.other:
        raise TaskParameterError("labels", "have to be two at least where one of them must fit")


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def conclude(
    parameters: ClassifyParameters, findings: Sequence[Finding[dict[str, Any]]]
) -> ClassifyResult:
    """Return the labels that fit, and the probabilities that are known."""
    answer, chances = only(findings), findings[0].chances
    none: float | None = None
    if parameters.multiple:
        fitting = [label for label in parameters.labels if answer[label]]
        known = {
            label: of_truth(chance)
            for label, chance in chances.items()
            if chance.value is answer[label]
        }
        order = [(label, known.get(label)) for label in parameters.labels]
    else:
        fitting = [label for label in parameters.labels if label == answer["label"]]
        chance = _chance(chances.get("label"), answer["label"])
        order = ranked(parameters.labels, chance)
        ((_, none),) = ranked((OTHER,), chance if parameters.other else None)
    if not fitting and not parameters.other:
        raise UnansweredError(("none of the labels was said to fit",))
    order.sort(key=lambda pair: (pair[0] not in fitting, -(pair[1] or 0)))
    return ClassifyResult(
        labels=[label for label, _ in order if label in fitting],
        other=not fitting,
        other_probability=_rounded(none),
        ranking=[LabelOut(label=label, probability=_rounded(p)) for label, p in order],
    )


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def _chance(chance: Chance | None, label: str) -> Chance | None:
    """Return ``chance`` if it belongs to ``label``, as a corrected word has other tokens."""
    return chance if chance is not None and chance.value == label else None


CLASSIFY = Task(
    name="classify",
    summary="Sort a picture by labels",
    description="One label of a closed list, or several, or none of them; with probabilities if "
    "the model returns log probabilities.",
    parameters=ClassifyParameters,
    result=ClassifyResult,
    questions=questions,
    conclude=conclude,
    capability=Capability(
        basis="Not measured by itself; nearest is VQAv2 75.2.",
        untrained=("probabilities that are calibrated",),
    ),
    language="",
    example=Example(
        parameters={"labels": ["receipt", "invoice", "photo of a pet"]},
        result={
            "labels": ["photo of a pet"],
            "other": False,
            "other_probability": 0.0046,
            "ranking": [
                {"label": "photo of a pet", "probability": 0.9712},
                {"label": "receipt", "probability": 0.0103},
                {"label": "invoice", "probability": None},
            ],
        },
    ),
)
