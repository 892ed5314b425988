"""The work queue in PostgreSQL, over PgQueuer."""

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from asyncpg import Connection, InsufficientPrivilegeError, LockNotAvailableError, Pool

from app.adapters.queue.postgres import groups, items, leases
from app.adapters.queue.postgres.jobs import Jobs
from app.adapters.queue.postgres.names import Builders
from app.adapters.queue.postgres.schema import Schema, take_over
from app.adapters.stores.postgres import open_pool, translated
from app.domain.errors import WorkQueueError
from app.domain.work import (
    LEASE,
    UNTAKEN,
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

log = structlog.get_logger()

_SECONDS = 30
"""Timeout of each statement in seconds; one statement may insert thousands of rows."""
_CLEAR = 60.0
"""Minimum seconds between two truncations of PgQueuer's log, which nothing reads."""


@dataclass(slots=True)
class PostgresQueue:
    """A `WorkQueue` in PostgreSQL, over pooled connections; each change is one transaction."""

    pool: Pool
    builders: Builders
    lease_seconds: float = LEASE
    _given: dict[str, set[int]] = field(default_factory=dict, init=False)
    """Ids of the items leased to each worker of this process and not yet returned."""
    _cleared: float = field(default=float("-inf"), init=False)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Yield a connection on which each statement is a transaction, without more round trips."""
        with translated(WorkQueueError):
            async with self.pool.acquire(timeout=_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _jobs(self) -> AsyncIterator[Jobs]:
        async with self._transaction() as connection:
            yield self._over(connection)

    def _over(self, connection: Connection) -> Jobs:
        return Jobs.over(connection, self.builders, self.lease_seconds)

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Store a new group and its first items, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            await _put(jobs, group, await groups.add(jobs.connection, group), work)

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add items to a group, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            seq = await groups.locked(jobs.connection, group.id)
            if seq is not None:
                await _put(jobs, group, seq, await items.new(jobs.connection, group, work))

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group or None if the owner has no such group; may raise WorkQueueError."""
        async with self._connection() as connection:
            return await groups.one(connection, owner, group)

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups, newest first, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await groups.listed(connection, owner, kind, limit, after)

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return the groups with work left to do, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await groups.active(connection, kind)

    async def change(self, group: WorkGroup) -> bool:
        """Store a changed group unless its version is stale, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await groups.change(connection, group)

    async def lease(
        self,
        worker: str,
        kinds: Collection[WorkKind],
        limit: int,
        without: Collection[str] = (),
    ) -> tuple[Leased, ...]:
        """Lease waiting items to a worker, taking callers in turn, or raise WorkQueueError."""
        async with self._connection() as connection:
            leased = await leases.take(
                self._over(connection), worker, kinds, limit, without, self._given.get(worker, ())
            )
        self._given.setdefault(worker, set()).update(item.id for item in leased)
        return tuple(leased)

    async def renew(self, worker: str) -> frozenset[int]:
        """Renew the worker's leases and return the ids of its items, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            return await leases.renew(jobs, worker, self._given.get(worker, ()))

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that the worker holds, or raise WorkQueueError."""
        async with self._connection() as connection:
            jobs = self._over(connection)
            held = await items.of_jobs(connection, await jobs.held(worker))
        return frozenset(held.values())

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Store the first result of each item and return how many, or raise WorkQueueError."""
        async with self._connection() as connection:
            first = await items.finish(connection, finished)
        self._returned(finished)
        return first

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Return items to the queue for later, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            await leases.give_back(jobs, postponed)
        self._returned(postponed)

    def _returned(self, ended: Sequence[Finished | Postponed]) -> None:
        for item in ended:
            self._given.get(item.work.worker, set()).discard(item.work.id)

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel the waiting items of a group, also the leased ones if ``leased``.

        Returns the number of cancelled items. Raises WorkQueueError.
        """
        async with self._jobs() as jobs:
            await take_over(jobs.connection, jobs)
            cancelled, last = 0, 0
            while unanswered := await items.locked_of_group(jobs.connection, owner, group, last):
                last = max(unanswered.values())
                if not leased:
                    waiting = await jobs.waiting(unanswered.values())
                    unanswered = {id_: job for id_, job in unanswered.items() if job in waiting}
                await items.cancel(jobs.connection, unanswered)
                await jobs.remove(unanswered.values())
                cancelled += len(unanswered)
        return cancelled

    async def counts(self, group: str) -> GroupCounts:
        """Return the state counts and the usage of a group, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await items.counts(connection, group)

    async def has_open(self, group: str) -> bool:
        """Return whether the group has items without a final result, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await items.has_open(connection, group)

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return items by position, or raise WorkQueueError."""
        async with self._transaction() as connection:
            return await items.results(connection, owner, group, after, limit)

    async def clear(self, group: str) -> None:
        """Delete the items of the group, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            await _forget_items(jobs, [group])

    async def forget(self, owner: str, group: str) -> None:
        """Delete a group and its items, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            await _forget(jobs, await groups.owned(jobs.connection, owner, group))

    async def expire(self) -> int:
        """Delete expired groups and return how many, or raise WorkQueueError."""
        async with self._jobs() as jobs:
            await take_over(jobs.connection, jobs)
            over = await groups.expired(jobs.connection)
            await _forget(jobs, over)
        if time.monotonic() - self._cleared > _CLEAR:
            await self._clear_log()
        return len(over)

    async def _clear_log(self) -> None:
        self._cleared = time.monotonic()
        async with self._jobs() as jobs:
            # A backup may read the log for minutes, and all else would queue behind TRUNCATE.
            await jobs.connection.execute("SET LOCAL lock_timeout = '200ms'")
            try:
                await jobs.queries.clear_queue_log()
            except LockNotAvailableError:
                return
            except InsufficientPrivilegeError:
                log.warning("PgQueuer's log grows", advice="grant TRUNCATE on it")

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the queue depth of each kind, or raise WorkQueueError."""
        async with self._connection() as connection:
            return await self._over(connection).depths()


async def _put(jobs: Jobs, group: WorkGroup, seq: int, work: Sequence[NewWork]) -> None:
    if not work:
        return
    made: Sequence[int | None] = [None] * len(work)
    if group.kind not in UNTAKEN:
        made = await jobs.put([(group.kind, group.owner, seq)] * len(work))
    await items.add(jobs.connection, group, seq, work, made)


async def _forget(jobs: Jobs, forgotten: Sequence[str]) -> None:
    if forgotten:
        await _forget_items(jobs, forgotten)
        await groups.forget(jobs.connection, forgotten)


async def _forget_items(jobs: Jobs, forgotten: Sequence[str]) -> None:
    gone = await items.forget(jobs.connection, forgotten)
    await jobs.remove(gone)


@asynccontextmanager
async def open_postgres_queue(
    url: str, lease_seconds: float = LEASE
) -> AsyncIterator[PostgresQueue]:
    """Yield a queue over a new pool, which connects when it is first used."""
    builders = Builders.make()
    async with open_pool(url, Schema(builders, lease_seconds), _SECONDS) as pool:
        yield PostgresQueue(pool, builders, lease_seconds)
