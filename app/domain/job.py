"""Jobs: requests whose answers are fetched later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.access import ANONYMOUS, Caller
from app.domain.work import NO_USAGE, WorkUsage


class JobStatus(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    """The job was answered with a status below 400."""
    FAILED = "failed"
    """The job's answer is an error."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended, with an answer."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A POST request that is answered later."""

    path: str
    headers: Mapping[str, str]
    """Headers that affect the answer, by lower-case name; no credentials."""
    body: bytes = field(repr=False)
    request_id: str = ""
    caller: Caller = ANONYMOUS
    webhook: str | None = None
    """The URL that is notified when the job has ended."""


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """The endpoint's answer."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a running job, as in the endpoint's stream."""

    number: int
    """The event's number, from 1."""
    name: str
    """``progress``."""
    data: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its caller sees it."""

    id: str
    path: str
    status: JobStatus
    created_at: float
    """Time of creation in seconds since the epoch, like all times here."""
    ended_at: float | None = None
    expires_at: float | None = None
    answer: JobAnswer | None = None
    usage: WorkUsage = NO_USAGE
    progress: JobEvent | None = None
    """The latest event."""
    webhook: str | None = None
