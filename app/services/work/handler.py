"""The protocol of a kind of work, so that a `Worker` can do it."""

from asyncio import TaskGroup
from collections.abc import Collection
from typing import Protocol

from app.domain.work import Finished, Leased, Postponed, WorkKind


class WorkHandler(Protocol):
    """Does the items of one kind."""

    @property
    def kind(self) -> WorkKind:
        """Return the kind of work."""
        ...

    @property
    def interruptible(self) -> bool:
        """Tell whether an item is stopped when it is cancelled or its lease was lost."""
        ...

    def room(self, running: int) -> int:
        """Return how many more items may begin now, where ``running`` are being done."""
        ...

    def gap(self) -> float:
        """Return the seconds to let pass before one more item begins."""
        ...

    def resting(self) -> Collection[str]:
        """Return the callers whose items are not to be begun now."""
        ...

    async def handle(self, work: Leased) -> Finished | Postponed:
        """Do one item. An exception is a fault of ours; the item is then tried again later."""
        ...

    def exhausted(self, work: Leased) -> Finished:
        """Return the end of an item that was tried too often."""
        ...

    async def tend(self, steps: TaskGroup) -> None:
        """See to the groups: begin them, end them, forget them.

        What takes long goes on in ``steps`` so that it holds up no other group.
        It is called every second, and soon after the last result that this process had of a group
        was kept, in every process: what it does must be right when another does the same.
        """
        ...
