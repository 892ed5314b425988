"""The work queue in PostgreSQL, for several machines.

Times are the database's own, so replicas need not agree on theirs. Items are leased under one
advisory lock: whose turn it is depends on what all workers hold, and a lease takes milliseconds for
many items. docs/decisions/0016 says why it is these statements rather than a queue's package.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from asyncpg import Connection, Pool, Record

from app.adapters.queue import fairness
from app.adapters.stores.postgres import open_pool, translated
from app.domain.errors import WorkQueueError
from app.domain.work import (
    LEASE,
    LONGEST,
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
    WorkState,
    WorkUsage,
)

_SECONDS = 30
"""Seconds for each statement: thousands of rows are put in one."""
_SCHEMA = """
SELECT pg_advisory_xact_lock(hashtext('llama_vision_work'));
CREATE TABLE IF NOT EXISTS llama_vision_work_group (
    seq BIGSERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL, body BYTEA NOT NULL, active BOOLEAN NOT NULL,
    expires_at DOUBLE PRECISION, version BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS llama_vision_group_of_owner
    ON llama_vision_work_group (owner, kind, seq);
CREATE INDEX IF NOT EXISTS llama_vision_group_active
    ON llama_vision_work_group (kind, seq) WHERE active;
CREATE TABLE IF NOT EXISTS llama_vision_work (
    id BIGSERIAL PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES llama_vision_work_group (seq) ON DELETE CASCADE,
    position BIGINT NOT NULL, payload BYTEA NOT NULL, state TEXT NOT NULL,
    not_before DOUBLE PRECISION NOT NULL DEFAULT 0, worker TEXT, lease_until DOUBLE PRECISION,
    attempts INTEGER NOT NULL DEFAULT 0, result BYTEA, prompt_tokens BIGINT,
    generation_tokens BIGINT, cost_usd DOUBLE PRECISION, unpriced BIGINT,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (seq, position)
);
CREATE INDEX IF NOT EXISTS llama_vision_work_waiting
    ON llama_vision_work (kind, owner, seq, position) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS llama_vision_work_leased
    ON llama_vision_work (worker) WHERE state = 'leased';
CREATE INDEX IF NOT EXISTS llama_vision_work_state ON llama_vision_work (seq, state)
    INCLUDE (prompt_tokens, generation_tokens, cost_usd, unpriced);
"""
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('llama_vision_work_lease'))"
_GROUP = "id, owner, kind, status, created_at, body, active, expires_at, version"
_OF_GROUP = "seq = (SELECT seq FROM llama_vision_work_group WHERE id = $1)"


@dataclass(frozen=True, slots=True)
class PostgresQueue:
    """Every method is one transaction on a connection of a pool."""

    pool: Pool
    lease_seconds: float = LEASE
    clock: Callable[[], float] | None = None
    """Seconds since the epoch; None for the database's clock."""

    async def _now(self, connection: Connection) -> float:
        now = await connection.fetchval(_NOW) if self.clock is None else self.clock()
        return float(now)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        with translated(WorkQueueError):
            async with (
                self.pool.acquire(timeout=_SECONDS) as connection,
                connection.transaction(),
            ):
                yield connection

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Keep a new group and its first items, or raise WorkQueueError."""
        async with self._transaction() as connection:
            await connection.execute(
                f"INSERT INTO llama_vision_work_group ({_GROUP}) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                group.id,
                group.owner,
                group.kind,
                group.status,
                group.created_at,
                group.body,
                group.active,
                group.expires_at,
                group.version,
            )
            await _put(connection, group, work, await self._now(connection))

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add items to a group, or raise WorkQueueError."""
        async with self._transaction() as connection:
            await _put(connection, group, work, await self._now(connection))

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group, None where the owner has none such, or raise WorkQueueError."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(
                f"SELECT {_GROUP} FROM llama_vision_work_group WHERE id = $1 AND owner = $2",
                group,
                owner,
            )
        return None if row is None else _as_group(row)

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups, newest first, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                f"SELECT {_GROUP} FROM llama_vision_work_group "
                "WHERE owner = $1 AND kind = $2 AND ($3::text IS NULL OR seq < coalesce("
                "(SELECT seq FROM llama_vision_work_group WHERE id = $3 AND owner = $1), 0)) "
                "ORDER BY seq DESC LIMIT $4",
                owner,
                kind,
                after,
                limit,
            )
        return tuple(map(_as_group, rows))

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return the groups with work left to do, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                f"SELECT {_GROUP} FROM llama_vision_work_group "
                "WHERE kind = $1 AND active ORDER BY seq",
                kind,
            )
        return tuple(map(_as_group, rows))

    async def change(self, group: WorkGroup) -> bool:
        """Keep a changed group unless its version is old, or raise WorkQueueError."""
        async with self._transaction() as connection:
            done = await connection.execute(
                "UPDATE llama_vision_work_group SET status = $1, body = $2, active = $3, "
                "expires_at = $4, version = version + 1 "
                "WHERE id = $5 AND owner = $6 AND version = $7",
                group.status,
                group.body,
                group.active,
                group.expires_at,
                group.id,
                group.owner,
                group.version,
            )
        return _rows(done) == 1

    async def lease(
        self,
        worker: str,
        kinds: Collection[WorkKind],
        limit: int,
        without: Collection[str] = (),
    ) -> tuple[Leased, ...]:
        """Lease waiting items to a worker, callers in turn, or raise WorkQueueError."""
        async with self._transaction() as connection:
            if not await _any_open(connection, kinds):
                return ()
            await connection.execute(_LOCK)
            now = await self._now(connection)
            await connection.execute(
                "UPDATE llama_vision_work SET state = 'waiting', worker = NULL, "
                "attempts = attempts + 1 WHERE state = 'leased' AND worker <> $1 "
                "AND (lease_until <= $2 OR lease_until > $3)",
                worker,
                now,
                now + LONGEST * self.lease_seconds,
            )
            leased: list[Leased] = []
            for kind in kinds:
                left = limit - len(leased)
                if left > 0:
                    leased += await _lease_kind(
                        connection, worker, kind, left, without, now, now + self.lease_seconds
                    )
        return tuple(leased)

    async def renew(self, worker: str) -> frozenset[int]:
        """Prolong the worker's leases and return what it holds, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                "UPDATE llama_vision_work SET lease_until = $2 "
                "WHERE state = 'leased' AND worker = $1 RETURNING id",
                worker,
                await self._now(connection) + self.lease_seconds,
            )
        return frozenset(row["id"] for row in rows)

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that the worker holds, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                "SELECT id FROM llama_vision_work WHERE state = 'leased' AND worker = $1", worker
            )
        return frozenset(row["id"] for row in rows)

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Keep results that are the first of their items, or raise WorkQueueError."""
        counted = 0
        async with self._transaction() as connection:
            statement = await connection.prepare(
                "UPDATE llama_vision_work SET state = $1, result = $2, prompt_tokens = $3, "
                "generation_tokens = $4, cost_usd = $5, unpriced = $6, worker = NULL, "
                "lease_until = NULL WHERE id = $7 AND state IN ('waiting', 'leased') RETURNING 1"
            )
            # In one order everywhere, so that no two workers wait for each other's rows.
            for item in sorted(finished, key=lambda item: item.work.id):
                usage = item.usage
                first = await statement.fetchval(
                    WorkState.SUCCEEDED if item.succeeded else WorkState.FAILED,
                    item.result,
                    usage.prompt_tokens,
                    usage.generation_tokens,
                    float(usage.cost_usd),
                    usage.unpriced,
                    item.work.id,
                )
                counted += first or 0
        return counted

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Give items back for later, or raise WorkQueueError."""
        async with self._transaction() as connection:
            now = await self._now(connection)
            await connection.executemany(
                "UPDATE llama_vision_work SET state = 'waiting', worker = NULL, "
                "lease_until = NULL, not_before = $1, attempts = attempts + $2 "
                "WHERE id = $3 AND state = 'leased' AND worker = $4",
                [
                    (
                        now + min(item.seconds, LONGEST_WAIT),
                        int(item.counted),
                        item.work.id,
                        item.work.worker,
                    )
                    for item in sorted(postponed, key=lambda item: item.work.id)
                ],
            )

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel items of a group, or raise WorkQueueError."""
        states = ["waiting", "leased"] if leased else ["waiting"]
        async with self._transaction() as connection:
            done = await connection.execute(
                "UPDATE llama_vision_work SET state = 'cancelled', worker = NULL, "
                f"lease_until = NULL WHERE {_OF_GROUP} "
                "AND owner = $2 AND state = ANY($3)",
                group,
                owner,
                states,
            )
        return _rows(done)

    async def counts(self, group: str) -> GroupCounts:
        """Return how far a group has come, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                "SELECT state, count(*) AS items, coalesce(sum(prompt_tokens), 0)::bigint AS p, "
                "coalesce(sum(generation_tokens), 0)::bigint AS g, "
                "coalesce(sum(cost_usd), 0)::float8 AS c, coalesce(sum(unpriced), 0)::bigint AS u "
                f"FROM llama_vision_work WHERE {_OF_GROUP} GROUP BY state",
                group,
            )
        usage = WorkUsage(
            sum(row["p"] for row in rows),
            sum(row["g"] for row in rows),
            sum(row["c"] for row in rows),
            sum(row["u"] for row in rows),
        )
        return GroupCounts({WorkState(row["state"]): row["items"] for row in rows}, usage)

    async def has_open(self, group: str) -> bool:
        """Tell whether any item of a group may still be answered, or raise WorkQueueError."""
        async with self._transaction() as connection:
            found = await connection.fetchval(
                f"SELECT EXISTS (SELECT 1 FROM llama_vision_work WHERE {_OF_GROUP} "
                "AND state IN ('waiting', 'leased'))",
                group,
            )
        return bool(found)

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return items by position, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                "SELECT position, state, payload, result FROM llama_vision_work "
                f"WHERE {_OF_GROUP} "
                "AND owner = $2 AND position > $3 ORDER BY position LIMIT $4",
                group,
                owner,
                after,
                limit,
            )
        return tuple(
            WorkResult(row["position"], WorkState(row["state"]), row["payload"], row["result"])
            for row in rows
        )

    async def clear(self, group: str) -> None:
        """Forget the group's items, or raise WorkQueueError."""
        async with self._transaction() as connection:
            await connection.execute(
                f"DELETE FROM llama_vision_work WHERE {_OF_GROUP}",
                group,
            )

    async def forget(self, owner: str, group: str) -> None:
        """Forget a group and its items, or raise WorkQueueError."""
        async with self._transaction() as connection:
            await connection.execute(
                "DELETE FROM llama_vision_work_group WHERE id = $1 AND owner = $2", group, owner
            )

    async def expire(self) -> int:
        """Forget groups whose time is over, or raise WorkQueueError."""
        async with self._transaction() as connection:
            done = await connection.execute(
                "DELETE FROM llama_vision_work_group WHERE NOT active AND expires_at <= $1",
                await self._now(connection),
            )
        return _rows(done)

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the number of waiting items by kind, or raise WorkQueueError."""
        async with self._transaction() as connection:
            rows = await connection.fetch(
                "SELECT kind, count(*) FILTER (WHERE state = 'waiting') AS waiting, "
                "count(*) FILTER (WHERE state = 'leased') AS leased, "
                "min(created_at) FILTER (WHERE state = 'waiting') AS oldest "
                "FROM llama_vision_work WHERE state IN ('waiting', 'leased') GROUP BY kind"
            )
        known = {
            WorkKind(row["kind"]): QueueDepth(row["waiting"], row["leased"], row["oldest"])
            for row in rows
        }
        return {kind: known.get(kind, QueueDepth()) for kind in WorkKind}


async def _put(
    connection: Connection, group: WorkGroup, work: Sequence[NewWork], now: float
) -> None:
    if not work:
        return
    seq = await connection.fetchval(
        "SELECT seq FROM llama_vision_work_group WHERE id = $1", group.id
    )
    if seq is None:
        return
    await connection.executemany(
        "INSERT INTO llama_vision_work (kind, owner, seq, position, payload, state, created_at) "
        "VALUES ($1, $2, $3, $4, $5, 'waiting', $6) ON CONFLICT DO NOTHING",
        [(group.kind, group.owner, seq, item.position, item.payload, now) for item in work],
    )


async def _any_open(connection: Connection, kinds: Collection[WorkKind]) -> bool:
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM llama_vision_work WHERE state = 'waiting' "
        "AND kind = ANY($1)) OR EXISTS (SELECT 1 FROM llama_vision_work WHERE state = 'leased')",
        [str(kind) for kind in kinds],
    )
    return bool(found)


async def _lease_kind(
    connection: Connection,
    worker: str,
    kind: WorkKind,
    limit: int,
    without: Collection[str],
    now: float,
    until: float,
) -> list[Leased]:
    busy = await connection.fetch(
        "SELECT owner, count(*) AS items FROM llama_vision_work "
        "WHERE state = 'leased' AND kind = $1 GROUP BY owner",
        kind,
    )
    candidates: dict[str, list[Record]] = {}
    owner = ""
    # One step in the index for each caller.
    while (
        owner := await connection.fetchval(
            "SELECT owner FROM llama_vision_work WHERE state = 'waiting' AND kind = $1 "
            "AND owner > $2 ORDER BY owner LIMIT 1",
            kind,
            owner,
        )
    ) is not None:
        if owner not in without:
            candidates[owner] = await connection.fetch(
                "SELECT w.id, w.owner, g.id AS group, w.position, w.payload, w.attempts, "
                "w.created_at FROM llama_vision_work w JOIN llama_vision_work_group g USING (seq) "
                "WHERE w.state = 'waiting' AND w.kind = $1 AND w.owner = $2 "
                "AND (w.not_before <= $3 OR w.not_before > $4) ORDER BY w.seq, w.position LIMIT $5",
                kind,
                owner,
                now,
                now + LONGEST_WAIT,
                limit,
            )
    chosen = fairness.in_turn(candidates, {row["owner"]: row["items"] for row in busy}, limit)
    # One that was cancelled or answered late in this moment is not leased.
    taken = await connection.fetch(
        "UPDATE llama_vision_work SET state = 'leased', worker = $1, lease_until = $2 "
        "WHERE id = ANY($3) AND state = 'waiting' RETURNING id",
        worker,
        until,
        [row["id"] for row in chosen],
    )
    ids = {row["id"] for row in taken}
    return [_as_leased(row, kind, worker) for row in chosen if row["id"] in ids]


def _as_leased(row: Record, kind: WorkKind, worker: str) -> Leased:
    return Leased(
        id=row["id"],
        kind=kind,
        owner=row["owner"],
        group=row["group"],
        position=row["position"],
        payload=row["payload"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        worker=worker,
    )


def _as_group(row: Record) -> WorkGroup:
    values: dict[str, Any] = dict(row)
    return WorkGroup(**{**values, "kind": WorkKind(values["kind"])})


def _rows(status: str) -> int:
    """Return the number of rows from a command's tag such as ``UPDATE 3``."""
    return int(status.rpartition(" ")[2])


@asynccontextmanager
async def open_postgres_queue(
    url: str, lease_seconds: float = LEASE
) -> AsyncIterator[PostgresQueue]:
    """Open a pool; nothing is sent before it is used."""
    async with open_pool(url, "llama_vision_work", _SCHEMA, _SECONDS) as pool:
        yield PostgresQueue(pool, lease_seconds)
