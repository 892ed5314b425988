"""Batches: many requests in one file, answered into another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.access import Caller
from app.domain.work import NO_USAGE, WorkUsage


class BatchStatus(StrEnum):
    """The states of a batch, in OpenAI's words."""

    VALIDATING = "validating"
    FAILED = "failed"
    """The input could not be used, or was deleted."""
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    """No more rows are begun; the answers are being written to files."""
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = (
    BatchStatus.FAILED,
    BatchStatus.COMPLETED,
    BatchStatus.EXPIRED,
    BatchStatus.CANCELLED,
)


class BatchEngine(StrEnum):
    """The engine that runs a batch."""

    AUTO = "auto"
    """Bedrock's own batch job if it can run the batch, else this service's queue."""
    OWN = "own"
    BEDROCK = "bedrock"
    """Bedrock's own batch job; the batch is refused if it can't run there."""


class NativePhase(StrEnum):
    """The progress of Bedrock's batch job."""

    WRITING = "writing"
    STARTING = "starting"
    RUNNING = "running"
    COLLECTING = "collecting"
    ROWS = "rows"
    """The rows are on the queue, including those that the job answered."""


@dataclass(frozen=True, slots=True)
class NativeJob:
    """Bedrock's batch job of a batch."""

    name: str
    token: str
    phase: NativePhase = NativePhase.WRITING
    job_id: str | None = None
    status: str | None = None
    """Bedrock's own status."""
    message: str | None = None
    """Bedrock's message about the job's end."""


@dataclass(frozen=True, slots=True)
class BatchFault:
    """Why a batch failed."""

    code: str
    message: str
    line: int | None = None
    """The line number in the input file, from 1."""
    param: str | None = None


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """The numbers of a batch's rows."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    usage: WorkUsage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch."""

    id: str
    caller: Caller
    """The caller at the batch's creation; its rights are checked again for each row."""
    endpoint: str
    """The path that answers every row."""
    input_file_id: str
    window: str
    """The completion window in the caller's words: ``24h``."""
    metadata: Mapping[str, str] | None
    created_at: float
    expires_at: float
    """The time at which unanswered rows are given up, in seconds since the epoch."""
    status: BatchStatus = BatchStatus.VALIDATING
    times: Mapping[str, float] = field(default_factory=dict)
    """The time at which each status began."""
    ending: BatchStatus | None = None
    """The status with which it will end. Once it is set, no more calls are begun."""
    faults: tuple[BatchFault, ...] = ()
    counts: BatchCounts = BatchCounts()
    """The counts so far; final once the batch has ended."""
    output_file_id: str | None = None
    error_file_id: str | None = None
    webhook: str | None = None
    """The URL that is notified when the batch ends."""
    output_seconds: int | None = None
    """Seconds for which its files are kept; None for the same time as other files."""
    engine: BatchEngine = BatchEngine.AUTO
    """The requested engine."""
    engine_reason: str | None = None
    """Why the rows are on this service's own queue."""
    native: NativeJob | None = None
    """Bedrock's batch job that runs the batch, or ran a part of it."""
    claimed_by: str = ""
    """The worker that checks or finalizes the batch."""
    claimed_until: float = 0
    unsettled: bool = False
    """Whether it has ended, but its end is not announced or its rows are not forgotten yet."""
    version: int = 0

    @property
    def owner(self) -> str:
        """Return the caller's id."""
        return self.caller.id

    @property
    def ends(self) -> bool:
        """Tell whether no more rows that need a call are begun."""
        return self.ending is not None or self.status is BatchStatus.CANCELLING

    @property
    def has_job_answers(self) -> bool:
        """Tell whether rows have, or will have, a batch job's answers, which are paid for."""
        return self.native is not None and self.engine_reason is None
