"""Encrypts payloads, results and group bodies before a queue stores them."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from app.domain.errors import DataKeyError
from app.domain.ports import DataCipher, WorkQueue
from app.domain.work import (
    LONGEST_WAIT,
    Finished,
    GroupCounts,
    Leased,
    NewWork,
    Postponed,
    QueueDepth,
    WorkGroup,
    WorkKind,
    WorkResult,
)


def _payload(group: str, position: int) -> bytes:
    return f"work:payload:{group}:{position}".encode()


def _result(group: str, position: int) -> bytes:
    return f"work:result:{group}:{position}".encode()


def _body(group: str) -> bytes:
    return f"work:group:{group}".encode()


@dataclass(frozen=True, slots=True)
class SealedQueue:
    """A `WorkQueue` whose ``inner`` queue only sees callers' data encrypted by the ``cipher``."""

    inner: WorkQueue
    cipher: DataCipher

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Store a new group and its first items."""
        await self.inner.open(await self._sealed(group), await self._sealed_work(group, work))

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add items to a group."""
        await self.inner.put(await self._sealed(group), await self._sealed_work(group, work))

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group, or None if the owner has no such group."""
        sealed = await self.inner.group(owner, group)
        return None if sealed is None else await self._opened(sealed)

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups, newest first."""
        sealed = await self.inner.groups(owner, kind, limit, after)
        return tuple([await self._opened(group) for group in sealed])

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return the groups with work left to do, except those whose data keys are unavailable."""
        opened = []
        for group in await self.inner.active(kind):
            # A caller whose keys were erased must not block all others.
            with suppress(DataKeyError):
                opened.append(await self._opened(group))
        return tuple(opened)

    async def change(self, group: WorkGroup) -> bool:
        """Store a changed group unless its version is stale."""
        return await self.inner.change(await self._sealed(group))

    async def lease(
        self,
        worker: str,
        kinds: Collection[WorkKind],
        limit: int,
        without: Collection[str] = (),
    ) -> tuple[Leased, ...]:
        """Lease waiting items to a worker; items whose data keys are unavailable are postponed."""
        opened, closed = [], []
        for item in await self.inner.lease(worker, kinds, limit, without):
            try:
                opened.append(await self._opened_work(item))
            except DataKeyError:
                closed.append(Postponed(item, LONGEST_WAIT, counted=False))
        if closed:
            await self.inner.postpone(closed)
        return tuple(opened)

    async def renew(self, worker: str) -> frozenset[int]:
        """Renew the worker's leases and return the ids of its items."""
        return await self.inner.renew(worker)

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that the worker holds."""
        return await self.inner.held(worker)

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Store the first result of each item and return how many were stored."""
        return await self.inner.finish([await self._sealed_result(item) for item in finished])

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Return items to the queue for later."""
        await self.inner.postpone(postponed)

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel a group's waiting items, and the leased ones if ``leased``; return how many."""
        return await self.inner.cancel(owner, group, leased=leased)

    async def counts(self, group: str) -> GroupCounts:
        """Return the state counts and the usage of a group."""
        return await self.inner.counts(group)

    async def has_open(self, group: str) -> bool:
        """Return whether the group has items without a final result."""
        return await self.inner.has_open(group)

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return items by position."""
        sealed = await self.inner.results(owner, group, after, limit)
        return tuple([await self._opened_result(owner, group, item) for item in sealed])

    async def clear(self, group: str) -> None:
        """Delete the items of the group."""
        await self.inner.clear(group)

    async def forget(self, owner: str, group: str) -> None:
        """Delete a group and its items."""
        await self.inner.forget(owner, group)

    async def expire(self) -> int:
        """Delete expired groups and return how many."""
        return await self.inner.expire()

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the queue depth of each kind."""
        return await self.inner.depths()

    async def _sealed(self, group: WorkGroup) -> WorkGroup:
        body = await self.cipher.encrypt(group.owner, group.body, _body(group.id))
        return replace(group, body=body)

    async def _opened(self, group: WorkGroup) -> WorkGroup:
        body = await self.cipher.decrypt(group.owner, group.body, _body(group.id))
        return replace(group, body=body)

    async def _sealed_work(self, group: WorkGroup, work: Sequence[NewWork]) -> list[NewWork]:
        return [
            replace(
                item,
                payload=await self.cipher.encrypt(
                    group.owner, item.payload, _payload(group.id, item.position)
                ),
            )
            for item in work
        ]

    async def _opened_work(self, item: Leased) -> Leased:
        purpose = _payload(item.group, item.position)
        return replace(item, payload=await self.cipher.decrypt(item.owner, item.payload, purpose))

    async def _sealed_result(self, item: Finished) -> Finished:
        work = item.work
        purpose = _result(work.group, work.position)
        return replace(item, result=await self.cipher.encrypt(work.owner, item.result, purpose))

    async def _opened_result(self, owner: str, group: str, item: WorkResult) -> WorkResult:
        purpose = _payload(group, item.position)
        payload = await self.cipher.decrypt(owner, item.payload, purpose)
        result = item.result
        if result is not None:
            result = await self.cipher.decrypt(owner, result, _result(group, item.position))
        return replace(item, payload=payload, result=result)
