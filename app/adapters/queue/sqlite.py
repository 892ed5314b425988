"""The work queue in an SQLite file, for the processes of one machine.

The file is created by the first write. Every change is one transaction that is synced to the disk,
so that a paid result survives a power cut.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from app.adapters.queue import fairness
from app.domain.errors import WorkQueueError
from app.domain.work import (
    LEASE,
    LONGEST,
    LONGEST_WAIT,
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
    WorkState,
    WorkUsage,
)
from app.services.concurrency.threads import Threads

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS work_group (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    created_at REAL NOT NULL, body BLOB NOT NULL, active INTEGER NOT NULL, expires_at REAL,
    version INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS group_of_owner ON work_group (owner, kind, seq);
CREATE INDEX IF NOT EXISTS group_active ON work_group (kind, seq) WHERE active;
CREATE TABLE IF NOT EXISTS work (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES work_group (seq), position INTEGER NOT NULL,
    payload BLOB NOT NULL, state TEXT NOT NULL, not_before REAL NOT NULL DEFAULT 0,
    worker TEXT, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0, result BLOB,
    prompt_tokens INTEGER, generation_tokens INTEGER, cost_usd REAL, unpriced INTEGER,
    created_at REAL NOT NULL,
    UNIQUE (seq, position)
);
CREATE INDEX IF NOT EXISTS work_waiting ON work (kind, owner, seq, position)
    WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS work_state
    ON work (seq, state, prompt_tokens, generation_tokens, cost_usd, unpriced);
CREATE INDEX IF NOT EXISTS work_leased ON work (worker) WHERE state = 'leased';
"""
_GROUP = "id, owner, kind, status, created_at, body, active, expires_at, version"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise WorkQueueError(f"the work queue's file can't be used: {error}") from error


@dataclass(slots=True)
class SqliteQueue:
    """A `WorkQueue` over one SQLite connection, used by one thread at a time."""

    path: Path
    lease_seconds: float = LEASE
    clock: Callable[[], float] = time.time
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    threads: Threads = field(default_factory=lambda: Threads("queue"))
    _connection: sqlite3.Connection | None = None

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Store a new group and its first items, or raise WorkQueueError."""
        await self._write(_open, group, work, self.clock())

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add items to a group, or raise WorkQueueError."""
        await self._write(_put, group, work, self.clock())

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group or None if the owner has no such group; may raise WorkQueueError."""
        return await self._read(None, _group, owner, group)

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups, newest first, or raise WorkQueueError."""
        return await self._read((), _groups, owner, kind, limit, after)

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return the groups with work left to do, or raise WorkQueueError."""
        return await self._read((), _active, kind)

    async def change(self, group: WorkGroup) -> bool:
        """Store a changed group unless its version is stale, or raise WorkQueueError."""
        return await self._write(_change, group)

    async def lease(
        self,
        worker: str,
        kinds: Collection[WorkKind],
        limit: int,
        without: Collection[str] = (),
    ) -> tuple[Leased, ...]:
        """Lease waiting items to a worker, taking callers in turn, or raise WorkQueueError."""
        if not await self._read(False, _any_open, kinds):
            # Checked by a read first, so that an idle service takes no write lock.
            return ()
        return await self._write(
            _lease, worker, kinds, limit, without, self.clock(), self.lease_seconds
        )

    async def renew(self, worker: str) -> frozenset[int]:
        """Renew the worker's leases and return the ids of its items, or raise WorkQueueError."""
        return await self._write(_renew, worker, self.clock() + self.lease_seconds)

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that the worker holds, or raise WorkQueueError."""
        return await self._read(frozenset(), _held, worker)

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Store the first result of each item and return how many, or raise WorkQueueError."""
        return await self._write(_finish, finished)

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Return items to the queue for later, or raise WorkQueueError."""
        await self._write(_postpone, postponed, self.clock())

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel the waiting items of a group, also the leased ones if ``leased``.

        Returns the number of cancelled items. Raises WorkQueueError.
        """
        return await self._write(_cancel, owner, group, leased)

    async def counts(self, group: str) -> GroupCounts:
        """Return the state counts and the usage of a group, or raise WorkQueueError."""
        return await self._read(GroupCounts(), _counts, group)

    async def has_open(self, group: str) -> bool:
        """Return whether the group has items without a final result, or raise WorkQueueError."""
        return await self._read(False, _has_open, group)

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return items by position, or raise WorkQueueError."""
        return await self._read((), _results, owner, group, after, limit)

    async def clear(self, group: str) -> None:
        """Delete the items of the group, or raise WorkQueueError."""
        await self._write(_clear, group)

    async def forget(self, owner: str, group: str) -> None:
        """Delete a group and its items, or raise WorkQueueError."""
        await self._write(_forget, owner, group)

    async def expire(self) -> int:
        """Delete expired groups and return how many, or raise WorkQueueError."""
        return await self._read(0, _expired, self.clock()) and await self._write(
            _expire, self.clock()
        )

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the queue depth of each kind, or raise WorkQueueError."""
        return await self._read({}, _depths)

    async def _write(self, function: Callable[..., T], *arguments: object) -> T:
        async with self.turn:
            return await self.threads.run(self._transaction, function, arguments)

    async def _read(self, nothing: T, function: Callable[..., T], *arguments: object) -> T:
        """Return what ``function`` reads, or ``nothing`` if the file does not exist yet."""
        async with self.turn:
            return await self.threads.run(self._reading, nothing, function, arguments)

    def _transaction(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        with _translated():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = function(connection, *arguments)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def _reading(self, nothing: T, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        with _translated():
            if self._connection is None and not self.path.exists():
                return nothing
            return function(self._opened(), *arguments)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=10, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # Deleted content is overwritten with zeros.
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the file; a blocking call."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@asynccontextmanager
async def open_sqlite_queue(path: Path, lease_seconds: float = LEASE) -> AsyncIterator[SqliteQueue]:
    """Yield the queue, which opens its file when it is first used."""
    queue = SqliteQueue(path, lease_seconds)
    try:
        yield queue
    finally:
        async with queue.turn:
            await queue.threads.run(queue.close)
        queue.threads.close()


def _open(
    connection: sqlite3.Connection, group: WorkGroup, work: Sequence[NewWork], now: float
) -> None:
    connection.execute(
        f"INSERT INTO work_group ({_GROUP}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            group.id,
            group.owner,
            group.kind,
            group.status,
            group.created_at,
            group.body,
            group.active,
            group.expires_at,
            group.version,
        ),
    )
    _put(connection, group, work, now)


def _put(
    connection: sqlite3.Connection, group: WorkGroup, work: Sequence[NewWork], now: float
) -> None:
    seq = _seq(connection, group.id)
    if seq is None:
        return
    connection.executemany(
        "INSERT OR IGNORE INTO work (kind, owner, seq, position, payload, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, 'waiting', ?)",
        [(group.kind, group.owner, seq, item.position, item.payload, now) for item in work],
    )


def _seq(connection: sqlite3.Connection, group: str) -> int | None:
    row = connection.execute("SELECT seq FROM work_group WHERE id = ?", (group,)).fetchone()
    return None if row is None else int(row[0])


def _as_group(row: Sequence[Any]) -> WorkGroup:
    identity, owner, kind, status, created_at, body, active, expires_at, version = row
    return WorkGroup(
        identity,
        owner,
        WorkKind(kind),
        status,
        created_at,
        body,
        bool(active),
        expires_at,
        version,
    )


def _group(connection: sqlite3.Connection, owner: str, group: str) -> WorkGroup | None:
    row = connection.execute(
        f"SELECT {_GROUP} FROM work_group WHERE id = ? AND owner = ?",
        (group, owner),
    ).fetchone()
    return None if row is None else _as_group(row)


def _groups(
    connection: sqlite3.Connection, owner: str, kind: WorkKind, limit: int, after: str | None
) -> tuple[WorkGroup, ...]:
    rows = connection.execute(
        f"SELECT {_GROUP} FROM work_group WHERE owner = ? AND kind = ? AND seq < "
        "coalesce((SELECT seq FROM work_group WHERE id = ? AND owner = ?), "
        "CASE WHEN ? IS NULL THEN 9223372036854775807 ELSE 0 END) "
        "ORDER BY seq DESC LIMIT ?",
        (owner, kind, after, owner, after, limit),
    )
    return tuple(map(_as_group, rows))


def _active(connection: sqlite3.Connection, kind: WorkKind) -> tuple[WorkGroup, ...]:
    rows = connection.execute(
        f"SELECT {_GROUP} FROM work_group WHERE kind = ? AND active ORDER BY seq",
        (kind,),
    )
    return tuple(map(_as_group, rows))


def _change(connection: sqlite3.Connection, group: WorkGroup) -> bool:
    changed = connection.execute(
        "UPDATE work_group SET status = ?, body = ?, active = ?, expires_at = ?, "
        "version = version + 1 WHERE id = ? AND owner = ? AND version = ?",
        (
            group.status,
            group.body,
            group.active,
            group.expires_at,
            group.id,
            group.owner,
            group.version,
        ),
    )
    return changed.rowcount == 1


def _any_open(connection: sqlite3.Connection, kinds: Collection[WorkKind]) -> bool:
    """Return whether any item of ``kinds`` is waiting, or any item at all is leased."""
    for kind in kinds:
        if connection.execute(
            "SELECT 1 FROM work WHERE state = 'waiting' AND kind = ? LIMIT 1", (kind,)
        ).fetchone():
            return True
    leased = "SELECT 1 FROM work WHERE state = 'leased' LIMIT 1"
    return connection.execute(leased).fetchone() is not None


def _lease(
    connection: sqlite3.Connection,
    worker: str,
    kinds: Collection[WorkKind],
    limit: int,
    without: Collection[str],
    now: float,
    seconds: float,
) -> tuple[Leased, ...]:
    connection.execute(
        "UPDATE work SET state = 'waiting', worker = NULL, attempts = attempts + 1 "
        "WHERE state = 'leased' AND worker <> ? AND (lease_until <= ? OR lease_until > ?)",
        (worker, now, now + LONGEST * seconds),
    )
    leased: list[Leased] = []
    for kind in kinds:
        left = limit - len(leased)
        if left > 0:
            leased += _lease_kind(connection, worker, kind, left, without, now, now + seconds)
    return tuple(leased)


def _lease_kind(
    connection: sqlite3.Connection,
    worker: str,
    kind: WorkKind,
    limit: int,
    without: Collection[str],
    now: float,
    until: float,
) -> list[Leased]:
    owners = [owner for owner in _waiting_owners(connection, kind) if owner not in without]
    busy = dict(
        connection.execute(
            "SELECT owner, count(*) FROM work WHERE state = 'leased' AND kind = ? GROUP BY owner",
            (kind,),
        ).fetchall()
    )
    candidates: dict[str, list[Any]] = {
        owner: connection.execute(
            "SELECT work.id, work.kind, work.owner, work_group.id, position, payload, attempts, "
            "work.created_at FROM work JOIN work_group USING (seq) "
            "WHERE state = 'waiting' AND work.kind = ? AND work.owner = ? "
            "AND (not_before <= ? OR not_before > ?) ORDER BY seq, position LIMIT ?",
            (kind, owner, now, now + LONGEST_WAIT, limit),
        ).fetchall()
        for owner in owners
    }
    chosen = fairness.in_turn(candidates, busy, limit)
    connection.executemany(
        "UPDATE work SET state = 'leased', worker = ?, lease_until = ? WHERE id = ?",
        [(worker, until, row[0]) for row in chosen],
    )
    return [
        Leased(
            id=row[0],
            kind=WorkKind(row[1]),
            owner=row[2],
            group=row[3],
            position=row[4],
            payload=row[5],
            attempts=row[6],
            created_at=row[7],
            worker=worker,
        )
        for row in chosen
    ]


def _waiting_owners(connection: sqlite3.Connection, kind: WorkKind) -> Iterator[str]:
    """Yield the owners of waiting items, with one index look-up per owner."""
    owner = ""
    while True:
        row = connection.execute(
            "SELECT owner FROM work WHERE state = 'waiting' AND kind = ? AND owner > ? "
            "ORDER BY owner LIMIT 1",
            (kind, owner),
        ).fetchone()
        if row is None:
            return
        owner = row[0]
        yield owner


def _renew(connection: sqlite3.Connection, worker: str, until: float) -> frozenset[int]:
    connection.execute(
        "UPDATE work SET lease_until = ? WHERE state = 'leased' AND worker = ?",
        (until, worker),
    )
    return _held(connection, worker)


def _held(connection: sqlite3.Connection, worker: str) -> frozenset[int]:
    rows = connection.execute(
        "SELECT id FROM work WHERE state = 'leased' AND worker = ?", (worker,)
    )
    return frozenset(row[0] for row in rows)


def _finish(connection: sqlite3.Connection, finished: Sequence[Finished]) -> int:
    counted = 0
    for item in finished:
        state = WorkState.SUCCEEDED if item.succeeded else WorkState.FAILED
        usage = item.usage
        counted += connection.execute(
            "UPDATE work SET state = ?, result = ?, prompt_tokens = ?, generation_tokens = ?, "
            "cost_usd = ?, unpriced = ?, worker = NULL, lease_until = NULL "
            "WHERE id = ? AND state IN ('waiting', 'leased')",
            (
                state,
                item.result,
                usage.prompt_tokens,
                usage.generation_tokens,
                usage.cost_usd,
                usage.unpriced,
                item.work.id,
            ),
        ).rowcount
    return counted


def _postpone(connection: sqlite3.Connection, postponed: Sequence[Postponed], now: float) -> None:
    connection.executemany(
        "UPDATE work SET state = 'waiting', worker = NULL, lease_until = NULL, not_before = ?, "
        "attempts = attempts + ? WHERE id = ? AND state = 'leased' AND worker = ?",
        [
            (
                now + min(item.seconds, LONGEST_WAIT),
                int(item.counted),
                item.work.id,
                item.work.worker,
            )
            for item in postponed
        ],
    )


def _cancel(connection: sqlite3.Connection, owner: str, group: str, leased: bool) -> int:
    states = ("waiting", "leased") if leased else ("waiting", "waiting")
    return connection.execute(
        "UPDATE work SET state = 'cancelled', worker = NULL, lease_until = NULL "
        "WHERE owner = ? AND state IN (?, ?) "
        "AND seq = (SELECT seq FROM work_group WHERE id = ?)",
        (owner, *states, group),
    ).rowcount


def _counts(connection: sqlite3.Connection, group: str) -> GroupCounts:
    rows = connection.execute(
        "SELECT state, count(*), total(prompt_tokens), total(generation_tokens), "
        "total(cost_usd), total(unpriced) FROM work "
        "WHERE seq = (SELECT seq FROM work_group WHERE id = ?) GROUP BY state",
        (group,),
    ).fetchall()
    return GroupCounts(
        {WorkState(row[0]): row[1] for row in rows},
        WorkUsage(
            int(sum(row[2] for row in rows)),
            int(sum(row[3] for row in rows)),
            sum(row[4] for row in rows),
            int(sum(row[5] for row in rows)),
        ),
    )


def _has_open(connection: sqlite3.Connection, group: str) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM work WHERE seq = (SELECT seq FROM work_group WHERE id = ?) "
        "AND state IN ('waiting', 'leased'))",
        (group,),
    ).fetchone()
    return bool(row[0])


def _results(
    connection: sqlite3.Connection, owner: str, group: str, after: int, limit: int
) -> tuple[WorkResult, ...]:
    rows = connection.execute(
        "SELECT position, state, payload, result FROM work "
        "WHERE owner = ? AND seq = (SELECT seq FROM work_group WHERE id = ?) AND position > ? "
        "ORDER BY position LIMIT ?",
        (owner, group, after, limit),
    )
    return tuple(WorkResult(row[0], WorkState(row[1]), row[2], row[3]) for row in rows)


def _clear(connection: sqlite3.Connection, group: str) -> None:
    connection.execute(
        "DELETE FROM work WHERE seq = (SELECT seq FROM work_group WHERE id = ?)", (group,)
    )


def _forget(connection: sqlite3.Connection, owner: str, group: str) -> None:
    if _group(connection, owner, group) is not None:
        _clear(connection, group)
        connection.execute("DELETE FROM work_group WHERE id = ?", (group,))


def _expired(connection: sqlite3.Connection, now: float) -> int:
    row = connection.execute(
        "SELECT count(*) FROM work_group WHERE NOT active AND expires_at <= ?", (now,)
    ).fetchone()
    return int(row[0])


def _expire(connection: sqlite3.Connection, now: float) -> int:
    connection.execute(
        "DELETE FROM work WHERE seq IN "
        "(SELECT seq FROM work_group WHERE NOT active AND expires_at <= ?)",
        (now,),
    )
    return connection.execute(
        "DELETE FROM work_group WHERE NOT active AND expires_at <= ?", (now,)
    ).rowcount


def _depths(connection: sqlite3.Connection) -> dict[WorkKind, QueueDepth]:
    depths = {kind: QueueDepth() for kind in WorkKind}
    for kind in set(WorkKind) - UNTAKEN:
        waiting, oldest = connection.execute(
            "SELECT count(*), min(created_at) FROM work WHERE state = 'waiting' AND kind = ?",
            (kind,),
        ).fetchone()
        (leased,) = connection.execute(
            "SELECT count(*) FROM work WHERE state = 'leased' AND kind = ?", (kind,)
        ).fetchone()
        depths[kind] = QueueDepth(waiting, leased, oldest)
    return depths
