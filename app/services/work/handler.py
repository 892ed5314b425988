"""The protocol by which a `Worker` runs one kind of work."""

from asyncio import TaskGroup
from collections.abc import Collection
from typing import Protocol

from app.domain.work import Finished, Leased, Postponed, WorkKind


class WorkHandler(Protocol):
    """Runs the items of one kind of work."""

    @property
    def kind(self) -> WorkKind:
        """Return the kind of work."""
        ...

    @property
    def interruptible(self) -> bool:
        """Return whether a running item is stopped once it is cancelled or its lease is lost."""
        ...

    def room(self, running: int) -> int:
        """Return how many more items may begin now, given that ``running`` items are running."""
        ...

    def gap(self) -> float:
        """Return the minimum seconds between the starts of two items."""
        ...

    def resting(self) -> Collection[str]:
        """Return the ids of callers whose items must not begin now."""
        ...

    async def handle(self, work: Leased) -> Finished | Postponed:
        """Run one item. Any exception counts as a bug here, and the item is tried again later."""
        ...

    def exhausted(self, work: Leased) -> Finished:
        """Return the final result of an item that used up its attempts."""
        ...

    async def tend(self, steps: TaskGroup) -> None:
        """Advance the groups: begin, end and delete them.

        Long steps run in ``steps``, so that they do not delay other groups. Every process calls
        this every second, and soon after it has stored its last result of a group, so it must be
        correct when several processes do the same work at once.
        """
        ...
