"""Usage in an SQLite file; several processes of one machine may share it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import structlog

from app.domain.errors import UsageStoreError
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow
from app.services.concurrency.threads import Threads

log = structlog.get_logger()

_KEYS = ("day", "model", "caller", "task")
_COUNTS = UsageCounts._fields
_COLUMNS = ", ".join((*_KEYS, *_COUNTS))
_CREATE = f"""
CREATE TABLE IF NOT EXISTS usage (
    day TEXT, model TEXT, caller TEXT, task TEXT,
    {", ".join(f"{name} NUMERIC NOT NULL" for name in _COUNTS)},
    PRIMARY KEY ({", ".join(_KEYS)})
) WITHOUT ROWID
"""
_ADD = f"""
INSERT INTO usage ({_COLUMNS}) VALUES ({", ".join("?" * len((*_KEYS, *_COUNTS)))})
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)}
"""  # noqa: S608 - the names are this module's own
_READ = f"""
SELECT {_COLUMNS} FROM usage
WHERE day BETWEEN ? AND ? AND (? IS NULL OR caller = ?)
ORDER BY {", ".join(_KEYS)}
"""  # noqa: S608 - the names are this module's own


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    # OverflowError: a number that SQLite has no room for.
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise UsageStoreError(f"the usage file can't be used: {error}") from error


@dataclass(slots=True)
class SqliteUsage:
    """One connection, used by one thread at a time."""

    path: Path
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    threads: Threads = field(default_factory=lambda: Threads("usage"))
    _open: "_Open | None" = None

    async def add(self, batch: UsageBatch) -> None:
        """Add the batch's rows in one transaction, or raise UsageStoreError."""
        async with self.turn:
            await self.threads.run(self._add, [_flat(row) for row in batch.rows])

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows, or raise UsageStoreError."""
        async with self.turn:
            return await self.threads.run(self._read, query)

    def connect(self) -> None:
        """Open the file, which is created if needed, or raise UsageStoreError. Blocks."""
        with _translated():
            self._connection()

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.connection.close()
            self._open = None

    def _add(self, rows: list[tuple[object, ...]]) -> None:
        with _translated(), self._connection() as connection:
            connection.executemany(_ADD, rows)

    def _read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        days = query.first.isoformat(), query.last.isoformat()
        with _translated():
            rows = self._connection().execute(_READ, (*days, query.caller, query.caller))
            return tuple(_row(values) for values in rows)

    def _connection(self) -> sqlite3.Connection:
        """Return a connection to the file that is at the path now."""
        # A deleted or replaced file could still be written to, and nobody would see the rows.
        if self._open is not None and self._open.file != _identity(self.path):
            log.warning("usage file was removed", path=str(self.path))
            self.close()
            _clear(self.path)
        if self._open is None:
            connection = _connect(self.path)
            self._open = _Open(connection, _identity(self.path))
        return self._open.connection


@dataclass(frozen=True, slots=True)
class _Open:
    connection: sqlite3.Connection
    file: tuple[int, int] | None


def _clear(path: Path) -> None:
    """Remove the side files of a deleted database: another worker may still have it open."""
    if not path.exists():
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the file's identity (a replaced file has another); None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _flat(row: UsageRow) -> tuple[object, ...]:
    key, counts = row.key, row.counts
    named = (key.day.isoformat(), key.model, key.caller, key.task)
    return (*named, *counts)


def _row(values: tuple[Any, ...]) -> UsageRow:
    day, model, caller, task, *counts = values
    return UsageRow(UsageKey(date.fromisoformat(day), model, caller, task), UsageCounts(*counts))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    # Commits survive the process; a power cut may lose the last second's.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_CREATE)
    return connection


@asynccontextmanager
async def open_sqlite_usage(path: Path) -> AsyncIterator[SqliteUsage]:
    """Open the file, which is created if needed, or raise UsageStoreError."""
    store = SqliteUsage(path)
    try:
        await store.threads.run(store.connect)
        try:
            yield store
        finally:
            await store.threads.run(store.close)
    finally:
        store.threads.close()
