"""Answers in an SQLite file, which the workers of one machine share."""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from app.domain.cache import Place
from app.domain.errors import AnswerStoreError
from app.services.concurrency.threads import Threads

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, owner TEXT NOT NULL, model TEXT NOT NULL, data BLOB NOT NULL,
    size INTEGER NOT NULL, expires REAL NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_used ON answers (used);
CREATE TABLE IF NOT EXISTS claims (
    key TEXT PRIMARY KEY, holder TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
"""
_PURGE = "DELETE FROM answers WHERE (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR model = ?2)"
_CLAIM = """
INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT DO UPDATE
SET holder = excluded.holder, expires = excluded.expires
WHERE claims.holder = excluded.holder OR claims.expires <= ?
"""
_TOUCHED = 60
"""Seconds after which the time of an answer's last use is written again."""


@dataclass(slots=True)
class SqliteAnswers:
    """An AnswerStore that drops the least recently used answer first."""

    path: Path
    most: int
    """Bytes of all answers."""
    threads: Threads = field(default_factory=lambda: Threads("answers"))
    _connection: sqlite3.Connection | None = None

    @property
    def shared(self) -> bool:
        """Return True: the processes of this machine see these answers."""
        return True

    async def get(self, place: Place) -> bytes | None:
        """Return the unexpired entry at a place or None, or raise AnswerStoreError."""
        return await self._run(lambda database: _get(database, place))

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Store ``data``, or raise AnswerStoreError."""
        await self._run(lambda database: self._put(database, place, data, seconds))

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Tell whether ``holder`` has the claim now, or raise AnswerStoreError."""
        now = time.time()
        values = place.key, holder, now + seconds, now
        return await self._run(lambda database: database.execute(_CLAIM, values).rowcount > 0)

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim, or raise AnswerStoreError."""
        statement, values = "DELETE FROM claims WHERE key = ? AND holder = ?", (place.key, holder)
        await self._run(lambda database: database.execute(statement, values).rowcount)

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Delete the answers of an owner, of a model, or all; or raise AnswerStoreError."""
        return await self._run(lambda database: database.execute(_PURGE, (owner, model)).rowcount)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self.threads.run(self._within, work)

    def _within(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with _translated():
            if self._connection is None:
                self._connection = _connect(self.path)
            try:
                with self._connection as database:
                    return work(database)
            except sqlite3.Error:
                # The file may be gone or damaged; the next call opens whatever is there then.
                self.close()
                raise

    def _put(self, database: sqlite3.Connection, place: Place, data: bytes, seconds: float) -> None:
        now, size = time.time(), len(data)
        row = (place.key, place.owner, place.model, data, size, now + seconds, now)
        database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("DELETE FROM answers WHERE expires <= ?", (now,))
        (held,) = database.execute("SELECT TOTAL(size) FROM answers").fetchone()
        while held > self.most:
            oldest = database.execute("SELECT key, size FROM answers ORDER BY used LIMIT 1")
            key, size = oldest.fetchone()
            database.execute("DELETE FROM answers WHERE key = ?", (key,))
            held -= size

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _get(database: sqlite3.Connection, place: Place) -> bytes | None:
    now = time.time()
    row = database.execute(
        "SELECT data, used FROM answers WHERE key = ? AND owner = ? AND model = ? AND expires > ?",
        (place.key, place.owner, place.model, now),
    ).fetchone()
    if row is None:
        return None
    data, used = row
    if now - used > _TOUCHED:
        database.execute("UPDATE answers SET used = ? WHERE key = ?", (now, place.key))
    return bytes(data)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=1, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # An answer lost in a power cut is merely asked for again.
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise AnswerStoreError(
            f"the answers' file can't be used: {type(error).__name__}"
        ) from error


@asynccontextmanager
async def open_sqlite_answers(path: Path, most: int) -> AsyncIterator[SqliteAnswers]:
    """Open a store in the file at ``path``, which is made when something is first kept."""
    store = SqliteAnswers(path, most)
    try:
        yield store
    finally:
        await store.threads.run(store.close)
        store.threads.close()
