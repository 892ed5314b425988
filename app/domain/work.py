"""Work that outlives its request: items on a queue, and the groups to which they belong.

A batch is a `WorkGroup` whose items are its rows; a job is a group of one item. To add another kind
of work, add a member to `WorkKind`, store its facts as a group with `WorkQueue.open`, `put` its
items, and give the worker (`app.services.work.worker`) a handler for the kind.
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
    """One event for a caller's server."""


UNTAKEN = frozenset({WorkKind.JOB_EVENT})
"""Kinds that are only stored: no worker leases them."""


class WorkState(StrEnum):
    """The state of one item."""

    WAITING = "waiting"
    LEASED = "leased"
    """A worker has the item until its lease expires."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The item failed; its result says why."""
    CANCELLED = "cancelled"
    """The item was never answered and will not be."""


OPEN_STATES = (WorkState.WAITING, WorkState.LEASED)
"""States in which an item may still be answered."""


@dataclass(frozen=True, slots=True)
class WorkGroup:
    """Items that were requested together."""

    id: str
    owner: str
    """The caller's id."""
    kind: WorkKind
    status: str
    """The group's state, in the terms of its kind."""
    created_at: float
    """Seconds since the epoch."""
    body: bytes = b""
    """All other facts of its kind."""
    active: bool = True
    """Whether there is work left to do; `WorkQueue.active` returns these."""
    expires_at: float | None = None
    """Time after which it may be deleted, in seconds since the epoch; None if it may not."""
    version: int = 0
    """Number of changes, so that the second one of two writers notices the first."""


@dataclass(frozen=True, slots=True)
class NewWork:
    """One item for the queue."""

    position: int
    """The position in its group, from 0; an item that is put twice is stored once."""
    payload: bytes
    """The data that the handler needs."""


@dataclass(frozen=True, slots=True)
class Leased:
    """One item leased to this worker."""

    id: int
    kind: WorkKind
    owner: str
    group: str
    position: int
    payload: bytes
    attempts: int
    """Earlier leases that ended without a result."""
    created_at: float
    worker: str
    """The worker that holds the lease."""


@dataclass(frozen=True, slots=True)
class WorkUsage:
    """The tokens and cost of items' answers."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    cost_usd: float = 0
    unpriced: int = 0
    """Answers whose price is unknown."""

    def __add__(self, other: "WorkUsage") -> "WorkUsage":
        """Return the sum of both."""
        return WorkUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.generation_tokens + other.generation_tokens,
            self.cost_usd + other.cost_usd,
            self.unpriced + other.unpriced,
        )


NO_USAGE = WorkUsage()


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of one item."""

    work: Leased
    succeeded: bool
    result: bytes
    usage: WorkUsage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Postponed:
    """An item that goes back to the queue."""

    work: Leased
    seconds: float
    """Seconds before it is leased again."""
    counted: bool = True
    """Whether this counts as an attempt; waiting for a limit or a cold start does not."""


@dataclass(frozen=True, slots=True)
class WorkResult:
    """One item with its result, for the output."""

    position: int
    state: WorkState
    payload: bytes
    result: bytes | None
    """The result; None if it was never answered."""


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
    """Time at which the oldest waiting item was put, in seconds since the epoch, or None."""


LEASE = 30.0
"""Seconds of a lease; it is renewed after each third of that."""
LONGEST = 4
"""A lease that seems to last this many times as long was taken before the clock was set back."""
LONGEST_WAIT = 120.0
"""Maximum seconds before an item is leased again; longer waits are renewed."""
