"""Work that outlives the request that asked for it: items on a queue, and the group they belong to.

A batch is a `WorkGroup` whose items are its rows; a job is a group of one item. To put another kind
of work on the queue: add a member to `WorkKind`, keep its facts as a group with `WorkQueue.open`,
`put` its items, and give the worker (`app.services.work.worker`) a handler for the kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class WorkKind(StrEnum):
    """The kinds of work, each with a handler of its own."""

    BATCH_ROW = "batch_row"
    """One line of a batch's input file."""
    JOB = "job"
    """A request that is answered later."""
    JOB_EVENT = "job_event"
    """An event or a paid answer of a running job. It is only stored; no worker leases it."""
    WEBHOOK = "webhook"
    """One event to be sent to a caller's server."""


UNTAKEN = frozenset({WorkKind.JOB_EVENT})
"""Kinds that are only stored: no worker leases them."""


class WorkState(StrEnum):
    """The state of one item."""

    WAITING = "waiting"
    LEASED = "leased"
    """A worker has it, until its lease runs out."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The item failed; its result says why."""
    CANCELLED = "cancelled"
    """The item was never answered and will not be."""


OPEN_STATES = (WorkState.WAITING, WorkState.LEASED)
"""States in which an item may still be answered."""


@dataclass(frozen=True, slots=True)
class WorkGroup:
    """Items that were asked for together."""

    id: str
    owner: str
    """The caller's id."""
    kind: WorkKind
    status: str
    """The group's state, as its kind names it."""
    created_at: float
    """Seconds since the epoch."""
    body: bytes = b""
    """All other facts that its kind keeps."""
    active: bool = True
    """Whether there is work left to do; `WorkQueue.active` returns these."""
    expires_at: float | None = None
    """When it may be forgotten, in seconds since the epoch; None while it may not."""
    version: int = 0
    """Counts the changes, so that of two writers the second one notices."""


@dataclass(frozen=True, slots=True)
class NewWork:
    """One item for the queue."""

    position: int
    """The place in its group, from 0; put twice, it is there once."""
    payload: bytes
    """The data that the handler needs."""


@dataclass(frozen=True, slots=True)
class Leased:
    """One item that this worker is to do."""

    id: int
    kind: WorkKind
    owner: str
    group: str
    position: int
    payload: bytes
    attempts: int
    """Leases so far that ended without a result, this one not counted."""
    created_at: float
    worker: str
    """The worker that holds the lease."""


@dataclass(frozen=True, slots=True)
class WorkUsage:
    """The tokens and cost of the answers of items."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    cost_usd: float = 0
    unpriced: int = 0
    """Answers whose price is unknown."""

    def __add__(self, other: "WorkUsage") -> "WorkUsage":
        """Return both together."""
        return WorkUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.generation_tokens + other.generation_tokens,
            self.cost_usd + other.cost_usd,
            self.unpriced + other.unpriced,
        )


NO_USAGE = WorkUsage()


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one item."""

    work: Leased
    succeeded: bool
    result: bytes
    usage: WorkUsage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Postponed:
    """An item that goes back to the queue."""

    work: Leased
    seconds: float
    """Before it is leased again."""
    counted: bool = True
    """Whether this counts as an attempt; waiting for a limit or a cold start does not."""


@dataclass(frozen=True, slots=True)
class WorkResult:
    """One item with its result, for the output."""

    position: int
    state: WorkState
    payload: bytes
    result: bytes | None
    """None where it was never answered."""


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """A group's items by state."""

    states: Mapping[WorkState, int] = field(default_factory=dict)
    usage: WorkUsage = NO_USAGE

    @property
    def total(self) -> int:
        """Return the number of items."""
        return sum(self.states.values())

    @property
    def open(self) -> int:
        """Return the number of items that may still be answered."""
        return sum(self.states.get(state, 0) for state in OPEN_STATES)

    def in_state(self, state: WorkState) -> int:
        """Return the number of items in ``state``."""
        return self.states.get(state, 0)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The backlog of one kind of work."""

    waiting: int = 0
    leased: int = 0
    oldest: float | None = None
    """Seconds since the epoch at which the oldest waiting item was put; None where none waits."""


LEASE = 30.0
"""Seconds that an item belongs to a worker; renewed every third of it."""
LONGEST = 4
"""A lease that seems to run so many times as long was taken before the clock was set back."""
LONGEST_WAIT = 120.0
"""Seconds that an item waits at most before it is leased again; longer waits are taken again."""
