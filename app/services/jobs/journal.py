"""Items that a running job stores for later attempts, which another process may make."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.domain.ports import WorkQueue
from app.domain.work import Leased, NewWork, WorkGroup, WorkKind, WorkResult

_PAGE = 100
"""Items read per query."""


@dataclass(slots=True)
class Journal:
    """The items of one group, in the order in which the job's attempts stored them."""

    queue: WorkQueue
    work: Leased
    id: str
    expires_at: float
    _count: int = 0
    """Number of items, including those of earlier attempts."""

    async def earlier(self) -> AsyncIterator[WorkResult]:
        """Open the journal and yield the items of earlier attempts. Raises WorkQueueError."""
        if await self.queue.group(self.work.owner, self.id) is None:
            await self.queue.open(self._group())
            return
        while page := await self.queue.results(self.work.owner, self.id, self._count - 1, _PAGE):
            for item in page:
                yield item
            self._count = page[-1].position + 1

    async def put(self, payload: bytes) -> None:
        """Add an item, or raise WorkQueueError."""
        item = NewWork(self._count, payload)
        self._count += 1
        await self.queue.put(self._group(), [item])

    async def payload(self, position: int) -> bytes:
        """Return the payload of the item at ``position``, or raise WorkQueueError."""
        (item,) = await self.queue.results(self.work.owner, self.id, position - 1, 1)
        return item.payload

    def _group(self) -> WorkGroup:
        return WorkGroup(
            self.id,
            self.work.owner,
            WorkKind.JOB_EVENT,
            "kept",
            self.work.created_at,
            active=False,
            expires_at=self.expires_at,
        )
