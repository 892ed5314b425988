"""Bedrock's own batch jobs: their requests and outcomes."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import ServiceError
from app.domain.generation import Completion


class BatchJobStatus(StrEnum):
    """A job's state; Bedrock's own status is kept as well."""

    RUNNING = "running"
    """Submitted, validating, scheduled, in progress or stopping."""
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    """The job ran out of time. Records processed by then have results."""
    FAILED = "failed"
    STOPPED = "stopped"
    """The job was stopped; processed records have results."""
    EXPIRED = "expired"
    """The job ran out of time before it began."""


@dataclass(frozen=True, slots=True)
class BatchJobName:
    """The names that identify a job, stored before the job is requested."""

    name: str
    """The job's name: at most 63 letters, digits and hyphens. Also the folder of its files."""
    token: str
    """The client request token: a request with the same token returns the same job."""


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """Records of a job, as Bedrock counted them."""

    total: int
    processed: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A job and its state."""

    id: str
    """Bedrock's ARN."""
    status: BatchJobStatus
    raw_status: str
    message: str | None = None
    """Bedrock's message about the job, for the caller."""
    counts: RecordCounts | None = None
    """None until Bedrock has returned them."""


@dataclass(frozen=True, slots=True)
class RecordResult:
    """The outcome of one record: a completion or an error."""

    record: int
    """The record's number, as it was written."""
    completion: Completion | None = None
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class BatchJobRules:
    """The bounds of one job; the quotas are the account's."""

    least_records: int = 100
    most_records: int = 50_000
    file_bytes: int = 2**30
    job_bytes: int = 5 * 2**30
