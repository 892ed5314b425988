"""PgQueuer's side of the queue: one job for each waiting or leased item."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self
from uuid import NAMESPACE_OID, uuid5

from asyncpg import Connection
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.types import JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from app.adapters.queue.postgres.names import TABLE, Builders
from app.domain.work import LONGEST, LONGEST_WAIT, QueueDepth, WorkKind

_MANY = 10_000
_KINDS = frozenset(WorkKind)
_UNLIMITED = EntrypointExecutionParameter(concurrency_limit=0)
# Finds the entrypoints by one index look-up per caller and kind.
_BACKLOG = f"""
WITH RECURSIVE waiting (entrypoint) AS (
    (SELECT entrypoint FROM {TABLE} WHERE status = 'queued' ORDER BY entrypoint LIMIT 1)
    UNION ALL
    SELECT (SELECT next.entrypoint FROM {TABLE} next WHERE next.status = 'queued'
            AND next.entrypoint > waiting.entrypoint ORDER BY next.entrypoint LIMIT 1)
    FROM waiting WHERE waiting.entrypoint IS NOT NULL
), picked AS (
    SELECT entrypoint, count(*) AS leased,
        count(*) FILTER (WHERE heartbeat < now() - $1::interval) AS lapsed,
        bool_or(heartbeat > now() + $2::interval OR execute_after > now() + $3::interval) AS ahead
    FROM {TABLE} WHERE status = 'picked' GROUP BY entrypoint
)
SELECT entrypoint, waiting.entrypoint IS NOT NULL AS waiting, coalesce(leased, 0) AS leased,
    coalesce(lapsed, 0) AS lapsed, coalesce(ahead, FALSE) OR EXISTS (
        SELECT FROM {TABLE} later WHERE later.status = 'queued'
        AND later.entrypoint = waiting.entrypoint AND later.execute_after > now() + $3::interval
    ) AS ahead
FROM waiting FULL JOIN picked USING (entrypoint) WHERE entrypoint IS NOT NULL
"""
_SET_BACK = f"""
UPDATE {TABLE} SET heartbeat = least(heartbeat, now() - 2 * $1::interval),
    execute_after = least(execute_after, now() - $1::interval)
WHERE (status = 'picked' AND heartbeat > now() + $2::interval)
    OR (status IN ('queued', 'picked') AND execute_after > now() + $3::interval)
"""
# PgQueuer's own statement puts one job back, and logs it for dashboards that are not used here.
# Rows are locked in one order everywhere, which rules out deadlocks.
_PUT_BACK = f"""
WITH held AS MATERIALIZED (
    SELECT id FROM {TABLE} WHERE id = ANY($1::bigint[]) AND queue_manager_id = $3
    ORDER BY id FOR UPDATE
)
UPDATE {TABLE} j SET status = 'queued', execute_after = now() + waits.wait, updated = now(),
    attempts = attempts + 1, queue_manager_id = NULL
FROM held JOIN unnest($1::bigint[], $2::interval[]) AS waits (id, wait) USING (id)
WHERE j.id = held.id RETURNING j.id
"""
_REMOVE = f"""
WITH held AS MATERIALIZED (
    SELECT id FROM {TABLE} WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE
)
DELETE FROM {TABLE} j USING held WHERE j.id = held.id
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """One caller's jobs of one kind."""

    kind: WorkKind
    owner: str
    waiting: bool
    """Whether any job is queued, even if it is not due yet."""
    leased: int
    lapsed: int
    """The number of ``leased`` whose leases ran out."""
    ahead: bool
    """Whether a stored time is so far ahead that the database's clock must have been set back."""

    def may_be_taken(self, without: Collection[str]) -> bool:
        """Return whether there may be jobs to lease, unless the caller is in ``without``."""
        return bool(self.waiting or self.lapsed) and self.owner not in without


@dataclass(frozen=True, slots=True)
class Jobs:
    """PgQueuer's jobs, used over one connection and in its transaction."""

    connection: Connection
    queries: Queries
    lease: timedelta

    @classmethod
    def over(cls, connection: Connection, builders: Builders, lease_seconds: float) -> Self:
        """Return the jobs reached by ``connection``."""
        queries = Queries(
            AsyncpgDriver(connection),
            qbe=builders.schema,
            qbq=builders.queue,
            qbs=builders.scheduler,
        )
        return cls(connection, queries, timedelta(seconds=lease_seconds))

    async def put(
        self, places: Sequence[tuple[str, str, int]], after: Sequence[timedelta] | None = None
    ) -> list[int]:
        """Add a job for each (kind, owner, group number) of ``places`` and return the job ids."""
        return list(
            await self.queries.enqueue(
                [_entrypoint(kind, owner) for kind, owner, _ in places],
                [None] * len(places),
                # The highest priority goes first. It is an int4, so it wraps after 2**31 groups.
                [-(seq % 2**31) for _, _, seq in places],
                None if after is None else list(after),
            )
        )

    async def backlog(self) -> list[Backlog]:
        """Return the waiting and leased jobs by kind and caller."""
        rows = await self.connection.fetch(_BACKLOG, *self._bounds())
        return [
            Backlog(*place, row["waiting"], row["leased"], row["lapsed"], row["ahead"])
            for row in rows
            if (place := _kind_and_owner(row["entrypoint"]))
        ]

    async def set_back(self) -> None:
        """End leases and waits that seem far too long because the clock was set back."""
        await self.connection.execute(_SET_BACK, *self._bounds())

    def _bounds(self) -> tuple[timedelta, timedelta, timedelta]:
        return self.lease, LONGEST * self.lease, timedelta(seconds=LONGEST_WAIT)

    async def lapsed(self, worker: str) -> tuple[set[int], set[int]]:
        """Return the jobs whose leases ran out: those of ``worker`` and those of other workers."""
        stale = await self.queries.stale_jobs(self.lease, _MANY)
        me = _manager(worker)
        own: set[int] = {job.id for job in stale if job.queue_manager_id == me}
        return own, {int(job.id) for job in stale} - own

    async def take(self, worker: str, kind: WorkKind, owner: str, limit: int) -> list[int]:
        """Lease at most ``limit`` of a caller's waiting or lapsed jobs to ``worker``, in order."""
        jobs = await self.queries.dequeue(
            limit,
            {QueueEntrypoint(_entrypoint(kind, owner)): _UNLIMITED},
            _manager(worker),
            None,
            self.lease,
        )
        return [job.id for job in jobs]

    async def renew(self, worker: str, jobs: Collection[int]) -> list[int]:
        """Renew the leases of the ``jobs`` that ``worker`` still holds, and return their ids."""
        rows = await self.connection.fetch(
            f"SELECT id FROM {TABLE} WHERE id = ANY($1) AND queue_manager_id = $2 "
            "ORDER BY id FOR UPDATE",
            list(jobs),
            _manager(worker),
        )
        held = [JobId(row["id"]) for row in rows]
        if held:
            await self.queries.update_heartbeat(held)
        return list(held)

    async def held(self, worker: str) -> list[int]:
        """Return the ids of the jobs that ``worker`` holds."""
        rows = await self.connection.fetch(
            f"SELECT id FROM {TABLE} WHERE queue_manager_id = $1", _manager(worker)
        )
        return [row["id"] for row in rows]

    async def waiting(self, jobs: Collection[int]) -> set[int]:
        """Lock those of ``jobs`` that no worker holds, and return their ids."""
        rows = await self.connection.fetch(
            f"SELECT id FROM {TABLE} WHERE id = ANY($1) AND status = 'queued' "
            "ORDER BY id FOR UPDATE",
            list(jobs),
        )
        return {row["id"] for row in rows}

    async def put_back(self, worker: str, waits: Mapping[int, float]) -> set[int]:
        """Requeue jobs that ``worker`` still holds.

        ``waits`` maps each job to the seconds that it waits. Returns the ids of the requeued jobs.
        """
        rows = await self.connection.fetch(
            _PUT_BACK,
            list(waits),
            [timedelta(seconds=seconds) for seconds in waits.values()],
            _manager(worker),
        )
        return {row["id"] for row in rows}

    async def remove(self, jobs: Collection[int]) -> None:
        """Remove jobs from the queue."""
        if jobs:
            await self.connection.execute(_REMOVE, list(jobs))

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the queue depth of each kind."""
        depths = {kind: QueueDepth() for kind in WorkKind}
        for age in await self.queries.queue_age():
            if place := _kind_and_owner(age.entrypoint):
                depth, since = depths[place[0]], age.oldest_created.timestamp()
                depths[place[0]] = replace(
                    depth,
                    waiting=depth.waiting + age.queued_count,
                    oldest=min(since, depth.oldest or since),
                )
        for size in await self.queries.queue_size():
            if size.status == "picked" and (place := _kind_and_owner(size.entrypoint)):
                depth = depths[place[0]]
                depths[place[0]] = replace(depth, leased=depth.leased + size.count)
        return depths


def _manager(worker: str) -> QueueManagerId:
    """Return the UUID of a worker, since PgQueuer takes no names."""
    return QueueManagerId(uuid5(NAMESPACE_OID, worker))


def _entrypoint(kind: str, owner: str) -> str:
    return f"{kind}/{owner}"


def _kind_and_owner(entrypoint: str) -> tuple[WorkKind, str] | None:
    """Return the kind and the caller's id; None for a kind that this release does not know."""
    kind, _, owner = entrypoint.partition("/")
    return (WorkKind(kind), owner) if kind in _KINDS else None
