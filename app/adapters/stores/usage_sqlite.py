"""Usage in an SQLite file; several processes of one machine may share it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from app.domain.errors import UsageStoreError
from app.domain.usage import UsageCounts, UsageKey, UsageQuery, UsageRow

_KEYS = ("day", "model", "caller", "task")
_COUNTS = tuple(UsageCounts.__slots__)
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
    except sqlite3.Error as error:
        raise UsageStoreError(f"the usage file can't be used: {error}") from error


@dataclass(frozen=True, slots=True)
class SqliteUsage:
    """One connection, used by one thread at a time."""

    connection: sqlite3.Connection
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, rows: Iterable[UsageRow]) -> None:
        """Add ``rows`` in one transaction, or raise UsageStoreError."""
        async with self.turn:
            await asyncio.to_thread(self._add, [_flat(row) for row in rows])

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the rows asked for, or raise UsageStoreError."""
        async with self.turn:
            return await asyncio.to_thread(self._read, query)

    def _add(self, rows: list[tuple[object, ...]]) -> None:
        with _translated(), self.connection:
            self.connection.executemany(_ADD, rows)

    def _read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        days = query.first.isoformat(), query.last.isoformat()
        with _translated():
            found = self.connection.execute(_READ, (*days, query.caller, query.caller))
            return tuple(_row(values) for values in found)


def _flat(row: UsageRow) -> tuple[object, ...]:
    key, counts = row.key, row.counts
    named = (key.day.isoformat(), key.model, key.caller, key.task)
    return (*named, *(getattr(counts, name) for name in _COUNTS))


def _row(values: tuple[Any, ...]) -> UsageRow:
    day, model, caller, task, *counts = values
    return UsageRow(UsageKey(date.fromisoformat(day), model, caller, task), UsageCounts(*counts))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    # What is committed survives the process; a power cut may take the last second.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_CREATE)
    return connection


@asynccontextmanager
async def open_sqlite_usage(path: Path) -> AsyncIterator[SqliteUsage]:
    """Open the file, made if need be, or raise UsageStoreError."""
    with _translated():
        connection = await asyncio.to_thread(_connect, path)
    try:
        yield SqliteUsage(connection)
    finally:
        await asyncio.to_thread(connection.close)
