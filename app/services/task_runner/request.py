"""Task requests, answers and progress."""

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
"""Takes an error and how often the question was retried; returns the seconds until the next
attempt, or None if the error is final."""


def impatient(error: ServiceError, times: int) -> float | None:
    """Return None: with a caller waiting, failed questions are not asked again."""
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
    """Maximum pages of all documents together; None for the limit of one HTTP request."""
    patience: Patience = impatient
    """Decides when a failed question is asked again although others were answered."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The text that the model wrote in one call."""

    text: str
    page: int | None = None
    """The page or image number of the question, from 1; None if it had no image or several."""
    file: str | None = None
    """The location of the page's file in the request."""
    number: int | None = None
    """The page's number in its file, from 1."""


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """A task's answer to the caller."""

    task: str
    prompt_version: str
    result: Result | None
    """None if the model's answer could not be made valid."""
    evidence: dict[str, Any] | None
    """Evidence for the values of ``result``, in the same shape; None if there is none."""
    faults: tuple[str, ...]
    """Why ``result`` is None, or the model's refusals of parts of it."""
    refusal: Refusal | None
    """The model's first refusal, or None."""
    repaired: bool
    """Whether the model was asked to repair an answer."""
    calls: int
    """Number of paid model calls."""
    generation: Generation
    """The raw texts, token counts and latencies of all calls combined."""
    raw: tuple[RawAnswer, ...] = ()
    """The raw text of each call, in the order of the questions."""


def fingerprint(request: TaskRequest) -> bytes:
    """Hash everything that affects the answer, but not the call's other options."""
    # The parameters may be part of a body that also has images and delivery options.
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
    """Return ``answer`` without its images' bytes, which are not shown."""
    return replace(answer, generation=idempotency.slim(answer.generation))


@dataclass(frozen=True, slots=True)
class Progress:
    """Reports that one of several questions was answered or failed."""

    done: int
    total: int
    page: int
    fault: str | None
    text: str | None = None
    """The page's text, for tasks that read text."""
    origin: Origin = field(default_factory=Origin)
    """The page's file and its number there."""
    page_result: BaseModel | None = None
    """The page's part of the result, made of this answer alone; None if there is none."""


Notify = Callable[[Progress], None]


def ignored(progress: Progress) -> None:
    """Discard the progress."""
    del progress
