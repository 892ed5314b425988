"""Usage in PostgreSQL, for several replicas: one row for each day, model, caller and task."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from asyncpg import Connection, DataError, Pool, Record

from app.adapters.stores.postgres import SECONDS, creating, open_pool, translated
from app.domain.errors import UsageStoreError
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow

log = structlog.get_logger()

TABLE = "llama_vision_usage"
_KEYS = ("day", "model", "caller", "task")
_COUNTS = UsageCounts._fields
_COLUMNS = ", ".join((*_KEYS, *_COUNTS))
_TYPES = dict.fromkeys(_COUNTS, "BIGINT") | {"cost_usd": "DOUBLE PRECISION"}
# The collation because names are ordered as the other stores do.
_CREATE = f"""
SELECT pg_advisory_xact_lock(hashtext('{TABLE}'));
CREATE TABLE IF NOT EXISTS {TABLE} (
    day DATE, model TEXT COLLATE "C", caller TEXT COLLATE "C", task TEXT COLLATE "C",
    {", ".join(f"{name} {_TYPES[name]} NOT NULL" for name in _COUNTS)},
    PRIMARY KEY ({", ".join(_KEYS)})
)
"""
_ADD = f"""
INSERT INTO {TABLE} AS kept ({_COLUMNS})
VALUES ({", ".join(f"${i + 1}" for i in range(len((*_KEYS, *_COUNTS))))})
ON CONFLICT ({", ".join(_KEYS)})
DO UPDATE SET {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in _COUNTS)}
"""  # noqa: S608 - the names are this module's own
_READ = f"""
SELECT {_COLUMNS} FROM {TABLE}
WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR caller = $3)
ORDER BY {", ".join(_KEYS)}
"""  # noqa: S608 - the names are this module's own


@dataclass(frozen=True, slots=True)
class PostgresUsage:
    """Adds in one transaction and reads in one statement, each on a connection of a pool."""

    pool: Pool

    async def add(self, batch: UsageBatch) -> None:
        """Add the batch's rows in one transaction, or raise UsageStoreError."""
        # In one order everywhere, so that no two replicas wait for each other's rows.
        flat = sorted(_flat(row) for row in batch.rows)
        # Committed apart, once the rows are answered: a database that comes to them only when they
        # were given up, and will be sent again, must not keep them twice.
        async with self._connection() as connection, connection.transaction():
            try:
                async with connection.transaction():
                    await connection.executemany(_ADD, flat)
            except DataError:
                await _each(connection, flat)

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows, or raise UsageStoreError."""
        caller = None if query.caller is None else _text(query.caller)
        async with self._connection() as connection:
            records = await connection.fetch(_READ, query.first, query.last, caller)
        return tuple(_row(record) for record in records)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated(UsageStoreError):
            async with self.pool.acquire(timeout=SECONDS) as connection:
                yield connection


async def _each(connection: Connection, flat: list[tuple[object, ...]]) -> None:
    """Add the rows one by one, without those that the table has no room for."""
    for row in flat:
        try:
            async with connection.transaction():
                await connection.execute(_ADD, *row)
        except DataError as error:
            log.error("usage row left out", key=row[:4], reason=type(error).__name__)


def _flat(row: UsageRow) -> tuple[object, ...]:
    key, counts = row.key, row.counts
    named = (key.day, _text(key.model), _text(key.caller), _text(key.task))
    return (*named, *counts)


def _text(name: str) -> str:
    # A name that the database refuses would keep all other rows from being written, for ever.
    return name.replace("\0", "?").encode(errors="replace").decode()


def _row(record: Record) -> UsageRow:
    day, model, caller, task, *counts = record
    return UsageRow(UsageKey(day, model, caller, task), UsageCounts(*counts))


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[PostgresUsage]:
    """Open a pool with short timeouts; nothing is sent before it is used."""
    async with open_pool(url, creating(TABLE, _CREATE)) as pool:
        yield PostgresUsage(pool)
