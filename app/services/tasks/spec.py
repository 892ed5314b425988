"""The parts of a task: data, prompts and pure functions."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from app.domain.generation import Sampling
from app.domain.image import AnswerWarning
from app.domain.model import Capabilities
from app.services.answers.form import Form
from app.services.answers.probability import Chance, Measure
from app.services.answers.text.notes import AnswerError, Refusal
from app.services.deferred_model import DeferredModel
from app.services.documents.page import Origin
from app.services.evidence.claim import Claim, Path
from app.services.geometry import View
from app.services.tasks.capability import Capability


class Parameters(DeferredModel):
    """The parameters of a task, apart from its pictures."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class VerifiedParameters(Parameters):
    """The parameters of a task whose results carry evidence."""

    verify: Annotated[
        Literal["off", "report", "strict"],
        Field(
            description="`report`: `evidence` says which values another reading of the picture "
            "supports. `strict`: the model is asked once more about unsupported values, and the "
            "supported ones are used; needs an OCR engine (LLAMA_VISION_EVIDENCE_ENGINE). `off`: "
            "no evidence."
        ),
    ] = "report"


_RANGE = re.compile(r"\s*\d+\s*(-\s*\d*\s*)?(,\s*\d+\s*(-\s*\d*\s*)?)*", re.ASCII)


def _range(text: str) -> str:
    if not _RANGE.fullmatch(text):
        raise ValueError("pages are numbers and ranges such as 1-3,5 or 2-")
    return text


PageRange = Annotated[
    str,
    # Checked by a validator, since the refusal of a Pydantic pattern would only show the pattern.
    Field(max_length=100, json_schema_extra={"pattern": f"^{_RANGE.pattern}$"}),
    AfterValidator(_range),
]


class DocumentParameters(Parameters):
    """The parameters of a task that takes documents."""

    pages: Annotated[
        PageRange | None,
        Field(
            description="Pages of each PDF or TIFF, from 1: `1-3,5` or `2-`. By default all. At "
            "most 50 of all files together, 1,000 in a job; refused for other pictures.",
        ),
    ] = None
    detail: Annotated[
        Literal["auto", "high"],
        Field(
            description="`high` reads each page in pieces, as sharply as they can be shown: one "
            "call for each, at most 120."
        ),
    ] = "auto"

    @property
    def wants_text(self) -> bool:
        """Return whether to read the pages' own text layers."""
        return False


class Result(DeferredModel):
    """The result of a task."""


def left_out(value: object) -> Any:  # noqa: ANN401 - what Pydantic's Field returns
    """Return a field that is left out of the answer if it equals ``value``."""
    return Field(exclude_if=lambda current: current == value)


class TaskParameterError(ValueError):
    """A parameter is invalid in a way that Pydantic can't check."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.message = message


SHORT = Sampling(temperature=0.0, max_gen_len=1024)
"""Sampling of the likeliest answer, for short answers."""
LISTING = Sampling(temperature=0.2, max_gen_len=2048)
"""Sampling for long texts and lists, which loop most at temperature 0; see docs/tasks.md."""

ParametersT = TypeVar("ParametersT", bound=Parameters)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Question(Generic[AnswerT]):
    """One model call: its text, its pictures and the form of its answer."""

    text: str
    form: Form[AnswerT]
    images: tuple[int, ...] = (0,)
    """Positions among the pictures or pages; empty for a question about text alone. Several are
    shown separately if the model takes as many, else on a contact sheet."""
    measures: tuple[Measure, ...] = ()
    """Values of the answer whose probabilities are requested."""
    language: str | None = None
    """Replaces `Task.language` for this question; None keeps it."""


@dataclass(frozen=True, slots=True)
class Finding(Generic[AnswerT]):
    """The outcome of one question."""

    answer: AnswerT | None
    """The answer; None if it could not be read or the call failed."""
    fault: str | None = None
    """Why ``answer`` is None."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings about ``answer``."""
    view: View | None = None
    """The part of the original or page that was shown; None for no picture or several."""
    page: int = 1
    """The page's number or picture's position from 1, counted over all files."""
    origin: Origin = field(default_factory=Origin)
    """The file, the page in it, and the part of the page that was shown."""
    chances: Mapping[str, Chance] = field(default_factory=dict)
    """The probabilities of measured values by key, as far as they are known."""
    refusal: Refusal | None = None
    """The model's refusal, in place of ``answer`` or of a part of it."""


class UnansweredError(AnswerError):
    """No result can be made of the findings."""


class Note(DeferredModel):
    """A warning about one page."""

    code: str
    message: str


def notes(findings: Sequence[Finding[Any]]) -> list[Note]:
    """Return the warnings about one page's answers, each once."""
    warnings = dict.fromkeys(warning for finding in findings for warning in finding.warnings)
    return [Note(code=warning.code, message=warning.message) for warning in warnings]


def faults_of(findings: Sequence[Finding[Any]]) -> tuple[str, ...]:
    """Return why there is no answer, with page numbers if there are several pages."""
    several = len({finding.page for finding in findings}) > 1
    return tuple(
        f"page {finding.page}: {finding.fault}" if several else finding.fault
        for finding in findings
        if finding.fault
    ) or ("there is no answer",)


@dataclass(frozen=True, slots=True)
class Images:
    """The number of pictures that a task takes."""

    least: int = 1
    most: int = 1
    documents: bool = False
    """Whether PDFs and multi-page TIFFs are accepted and split into pages."""


@dataclass(frozen=True, slots=True)
class Example:
    """A matching request and result for the documentation."""

    parameters: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task(Generic[ParametersT, AnswerT]):
    """One use of the model, with an endpoint of its own."""

    name: str
    """The task's name, which is also its path."""
    summary: str
    description: str
    parameters: type[ParametersT]
    result: type[Result]
    questions: Callable[[ParametersT, int, Capabilities], Sequence[Question[AnswerT]]]
    """Returns the questions for the parameters, the number of shots and the capabilities."""
    conclude: Callable[[ParametersT, Sequence[Finding[AnswerT]]], Result]
    """Returns the result of the findings, one per question in order, or raises UnansweredError."""
    example: Example
    capability: Capability
    """The known quality of the model in this task."""
    cautions: Callable[[ParametersT, Any], Iterable[AnswerWarning]] = lambda *_: ()
    """Returns warnings that accompany a result, given the parameters and the result."""
    language: str = "Write in $language."
    """Instruction on the language of the answer; copied text keeps its own language."""
    images: Images = field(default_factory=Images)
    sampling: Sampling = SHORT
    follow_up: Callable[[ParametersT, Sequence[Finding[AnswerT]]], Question[Any] | None] | None = (
        None
    )
    """Returns a final question about text alone, given the findings; its finding comes last."""
    claims: Callable[[Any], Iterable[Claim]] | None = None
    """Yields the values of a result that may have evidence; None if none can."""
    mended: Callable[[ParametersT, AnswerT, AnswerT, Mapping[Path, bool]], AnswerT] | None = None
    """Returns a first answer with doubtful values replaced from a second one, at the paths that map
    to True because the second answer is supported there. None to choose whole answers instead."""
    composed: bool = False
    """Whether its result may contain texts composed of several answers."""
    progress_text: Callable[[AnswerT], str] | None = None
    """Returns the text of one answer for progress events; None for tasks without one."""


def only(findings: Sequence[Finding[AnswerT]]) -> AnswerT:
    """Return the answer to a task's only question, or raise UnansweredError."""
    (finding,) = findings
    if finding.answer is None:
        raise UnansweredError((finding.fault or "there is no answer",))
    return finding.answer
