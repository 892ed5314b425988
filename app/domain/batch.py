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
    """The input could not be used, or is gone."""
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    """No row is begun any more; what was answered is being written into files."""
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
    """The engine that is to do a batch."""

    AUTO = "auto"
    """Bedrock's own batch job where that can, else this service's queue."""
    OWN = "own"
    BEDROCK = "bedrock"
    """Bedrock's own batch job; the batch is refused where that can't."""


class NativePhase(StrEnum):
    """How far Bedrock's batch job has come."""

    WRITING = "writing"
    STARTING = "starting"
    RUNNING = "running"
    COLLECTING = "collecting"
    ROWS = "rows"
    """The rows are on the queue, those with an answer of the job's among them."""


@dataclass(frozen=True, slots=True)
class NativeJob:
    """Bedrock's batch job of a batch."""

    name: str
    token: str
    phase: NativePhase = NativePhase.WRITING
    job_id: str | None = None
    status: str | None = None
    """The status as Bedrock names it."""
    message: str | None = None
    """Bedrock's message about how the job ended."""


@dataclass(frozen=True, slots=True)
class BatchFault:
    """Why a batch failed."""

    code: str
    message: str
    line: int | None = None
    """The line of the input file, from 1."""
    param: str | None = None


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Rows of a batch."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    usage: WorkUsage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch."""

    id: str
    caller: Caller
    """As it was when the batch was made; its rights are checked again for each row."""
    endpoint: str
    """The path that every row asks."""
    input_file_id: str
    window: str
    """As the caller wrote it: ``24h``."""
    metadata: Mapping[str, str] | None
    created_at: float
    expires_at: float
    """When rows that are not answered are given up, in seconds since the epoch."""
    status: BatchStatus = BatchStatus.VALIDATING
    times: Mapping[str, float] = field(default_factory=dict)
    """When it came to each status, by the status."""
    ending: BatchStatus | None = None
    """The status that it is to end with; no row is begun any more that a call would have to ask."""
    faults: tuple[BatchFault, ...] = ()
    counts: BatchCounts = BatchCounts()
    """Final once it has ended."""
    output_file_id: str | None = None
    error_file_id: str | None = None
    webhook: str | None = None
    """The URL that is notified when the batch ends."""
    output_seconds: int | None = None
    """How long its files are kept; None for as long as other files."""
    engine: BatchEngine = BatchEngine.AUTO
    """The engine that the caller asked for."""
    engine_reason: str | None = None
    """Why its rows are on this service's own queue."""
    native: NativeJob | None = None
    """Bedrock's batch job that does it, or did what it could."""
    claimed_by: str = ""
    """The worker that checks or finalizes it."""
    claimed_until: float = 0
    unsettled: bool = False
    """Whether it has ended, and its end has still to be told and its rows to be forgotten."""
    version: int = 0

    @property
    def owner(self) -> str:
        """Return the caller's id."""
        return self.caller.id

    @property
    def ends(self) -> bool:
        """Tell whether no row is to be begun any more that a call would have to ask."""
        return self.ending is not None or self.status is BatchStatus.CANCELLING

    @property
    def has_job_answers(self) -> bool:
        """Tell whether rows have, or will have, answers of a batch job's, which are paid for."""
        return self.native is not None and self.engine_reason is None
