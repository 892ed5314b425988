"""The parts of a task: data, a prompt, and pure functions."""

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
    """The parameters of a task, beside its pictures."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class VerifiedParameters(Parameters):
    """The parameters of a task whose results carry evidence."""

    verify: Annotated[
        Literal["off", "report", "strict"],
        Field(
            description="`report`: `evidence` says which values another reading of the picture "
            "supports. `strict`: where it supports none, the model is asked once more, and what is "
            "supported is taken; needs an OCR engine (LLAMA_VISION_EVIDENCE_ENGINE). `off`: no "
            "evidence."
        ),
    ] = "report"


_RANGE = re.compile(r"\s*\d+\s*(-\s*\d*\s*)?(,\s*\d+\s*(-\s*\d*\s*)?)*", re.ASCII)


def _range(text: str) -> str:
    if not _RANGE.fullmatch(text):
        raise ValueError("pages are numbers and ranges such as 1-3,5 or 2-")
    return text


PageRange = Annotated[
    str,
    # Not as a pattern of Pydantic's: a refusal would show it and nothing else.
    Field(max_length=100, json_schema_extra={"pattern": f"^{_RANGE.pattern}$"}),
    AfterValidator(_range),
]


class DocumentParameters(Parameters):
    """The parameters of a task that takes documents."""

    pages: Annotated[
        PageRange | None,
        Field(
            description="Pages of each PDF or TIFF, from 1: `1-3,5` or `2-`. By default all. At "
            "most 50 of all files together, 1,000 in a job; refused with other pictures.",
        ),
    ] = None
    detail: Annotated[
        Literal["auto", "high"],
        Field(
            description="`high` reads each page in pieces, as sharp as they can be shown: one call "
            "for each, at most 120."
        ),
    ] = "auto"

    @property
    def wants_text(self) -> bool:
        """Whether the pages' own text layers are wanted."""
        return False


class Result(DeferredModel):
    """The result of a task."""


def left_out(value: object) -> Any:  # noqa: ANN401 - what Pydantic's Field returns
    """Return a field that is left out of the answer where it is ``value``."""
    return Field(exclude_if=lambda said: said == value)


class TaskParameterError(ValueError):
    """A parameter can't be used; Pydantic alone could not tell."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.message = message


SHORT = Sampling(temperature=0.0, max_gen_len=1024)
"""Sampling for short answers: the likeliest one."""
LISTING = Sampling(temperature=0.2, max_gen_len=2048)
"""Sampling for long texts and lists, which loop most at temperature 0; see docs/tasks.md."""

ParametersT = TypeVar("ParametersT", bound=Parameters)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Question(Generic[AnswerT]):
    """One call: what is asked, of which picture, and the form of the answer."""

    text: str
    form: Form[AnswerT]
    images: tuple[int, ...] = (0,)
    """Positions among the pictures or pages. Several are shown as they are where the model takes
    so many, else on a contact sheet; none asks about text alone."""
    measures: tuple[Measure, ...] = ()
    """Values of the answer whose probability is wanted."""
    language: str | None = None
    """As `Task.language`, where it is another one for this question."""


@dataclass(frozen=True, slots=True)
class Finding(Generic[AnswerT]):
    """The outcome of one question."""

    answer: AnswerT | None
    """None where the answer could not be read, or the call failed."""
    fault: str | None = None
    """Why ``answer`` is None."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings beside ``answer``."""
    view: View | None = None
    """The part of the original or page that was shown; None if none or several."""
    page: int = 1
    """Number of the page, or position of the picture, from 1, counted on over all files."""
    origin: Origin = field(default_factory=Origin)
    """The file and the page in it, and which part of the page was shown."""
    chances: Mapping[str, Chance] = field(default_factory=dict)
    """How likely values of the answer were, by key, where that is known."""
    refusal: Refusal | None = None
    """What the model refused to say, in ``answer``'s place or beside it."""


class UnansweredError(AnswerError):
    """Findings from which no result can be made."""


class Note(DeferredModel):
    """A warning about one page."""

    code: str
    message: str


def notes(findings: Sequence[Finding[Any]]) -> list[Note]:
    """Return the notes about one page's answers, each once."""
    warnings = dict.fromkeys(warning for finding in findings for warning in finding.warnings)
    return [Note(code=warning.code, message=warning.message) for warning in warnings]


def faults_of(findings: Sequence[Finding[Any]]) -> tuple[str, ...]:
    """Return why there is no answer, page by page where there are several."""
    several = len({finding.page for finding in findings}) > 1
    return tuple(
        f"page {finding.page}: {finding.fault}" if several else finding.fault
        for finding in findings
        if finding.fault
    ) or ("there is no answer",)


@dataclass(frozen=True, slots=True)
class Images:
    """How many pictures a task takes."""

    least: int = 1
    most: int = 1
    documents: bool = False
    """Whether PDFs and multi-page TIFFs are taken apart into pages."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request and a result that belong together, for the documentation."""

    parameters: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task(Generic[ParametersT, AnswerT]):
    """One use of the model, as an endpoint of its own."""

    name: str
    """The task's name, as in its path."""
    summary: str
    description: str
    parameters: type[ParametersT]
    result: type[Result]
    questions: Callable[[ParametersT, int, Capabilities], Sequence[Question[AnswerT]]]
    """Makes the questions from parameters, number of pictures or pages, and model capabilities."""
    conclude: Callable[[ParametersT, Sequence[Finding[AnswerT]]], Result]
    """The result from the findings, one per question and in their order, or UnansweredError."""
    example: Example
    capability: Capability
    """How well the model is known to do it."""
    cautions: Callable[[ParametersT, Any], Iterable[AnswerWarning]] = lambda *_: ()
    """Cautions that accompany a result, by the parameters and the result."""
    language: str = "Write in $language."
    """The language that the model writes in; text that it copies keeps its own."""
    images: Images = field(default_factory=Images)
    sampling: Sampling = SHORT
    follow_up: Callable[[ParametersT, Sequence[Finding[AnswerT]]], Question[Any] | None] | None = (
        None
    )
    """A last question, about text alone, put after the others; its finding comes last."""
    claims: Callable[[Any], Iterable[Claim]] | None = None
    """The values of a result for which there may be evidence; None where there is none."""
    mended: Callable[[ParametersT, AnswerT, AnswerT, Mapping[Path, bool]], AnswerT] | None = None
    """A first answer with doubtful values taken from a second one: those at the paths that are
    true, as the second answer has support there. None where an answer is taken as a whole."""
    composed: bool = False
    """Whether its result may have texts put together of those of several answers."""
    told: Callable[[AnswerT], str] | None = None
    """The text of one answer, for those who follow the progress; None for none."""


def only(findings: Sequence[Finding[AnswerT]]) -> AnswerT:
    """Return the answer to a task's one question, or raise UnansweredError."""
    (finding,) = findings
    if finding.answer is None:
        raise UnansweredError((finding.fault or "there is no answer",))
    return finding.answer
