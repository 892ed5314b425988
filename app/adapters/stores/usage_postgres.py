"""Usage in PostgreSQL, for several replicas: one row for each day, model, caller and task."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import structlog
from asyncpg import (
    Connection,
    DataError,
    InterfaceError,
    InternalClientError,
    Pool,
    PostgresError,
    Record,
    create_pool,
)

from app.adapters.trust import trusted
from app.domain.errors import UsageStoreError
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow

log = structlog.get_logger()

TABLE = "llama_vision_usage"
_CHECKED = ("require", "verify-ca", "verify-full")
_HERE = (None, "localhost", "127.0.0.1", "::1")
_SECONDS = 2
"""Seconds for a connection, and for each statement."""
_CONNECTIONS = 2
"""Connections of one process: one that adds, and one that reads meanwhile."""

_KEYS = ("day", "model", "caller", "task")
_COUNTS = tuple(UsageCounts.__slots__)
_COLUMNS = ", ".join((*_KEYS, *_COUNTS))
_TYPES = dict.fromkeys(_COUNTS, "BIGINT") | {"cost_usd": "DOUBLE PRECISION"}
_EXISTS = f"SELECT to_regclass('{TABLE}') IS NOT NULL"
# Sent as one, so it is one transaction. The lock is there because of two that create at once one
# fails, IF NOT EXISTS or not; the collation because names are ordered as the other stores do.
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

# ValueError: asyncpg reads the address when it connects.
_FAILURES = (PostgresError, InterfaceError, InternalClientError, OSError, ValueError)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        # The type only, and no cause: a message may quote the address with its password.
        raise UsageStoreError(f"PostgreSQL can't be used: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class PostgresUsage:
    """Adds in one transaction and reads in one statement, each on a connection of a pool."""

    pool: Pool

    async def add(self, batch: UsageBatch) -> None:
        """Add its rows in one transaction, or raise UsageStoreError."""
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
        """Return the rows asked for, or raise UsageStoreError."""
        caller = None if query.caller is None else _text(query.caller)
        async with self._connection() as connection:
            found = await connection.fetch(_READ, query.first, query.last, caller)
        return tuple(_row(record) for record in found)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with _translated():
            async with self.pool.acquire(timeout=_SECONDS) as connection:
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
    return (*named, *(getattr(counts, name) for name in _COUNTS))


def _text(name: str) -> str:
    # What the database refuses would keep all the other rows from being written, for ever.
    return name.replace("\0", "?").encode(errors="replace").decode()


def _row(record: Record) -> UsageRow:
    day, model, caller, task, *counts = record
    return UsageRow(UsageKey(day, model, caller, task), UsageCounts(*counts))


async def _make_table(connection: Connection) -> None:
    # Looked for first: who may only use a table that is there may not create one that is there.
    if not await connection.fetchval(_EXISTS):
        await connection.execute(_CREATE)


def tls(url: str) -> ssl.SSLContext | None:
    """Return whom to trust where ``url`` asks for TLS, None where it doesn't.

    ``require`` asks for no check in PostgreSQL's own terms, which any impostor passes; here it
    means ``verify-full``.
    """
    options = dict(parse_qsl(urlsplit(url).query))
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode not in _CHECKED:
        if urlsplit(url).hostname not in _HERE:
            log.warning("usage goes to PostgreSQL unchecked", advice="add ?sslmode=verify-full")
        return None
    root = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    # libpq's word for the system's own.
    context = trusted(None if root == "system" else root)
    certificate = options.get("sslcert") or os.environ.get("PGSSLCERT")
    if certificate:
        context.load_cert_chain(certificate, options.get("sslkey") or os.environ.get("PGSSLKEY"))
    return context


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[PostgresUsage]:
    """Open a pool that gives up soon; nothing is sent before it is used."""
    pool = await create_pool(
        url,
        min_size=0,
        max_size=_CONNECTIONS,
        command_timeout=_SECONDS,
        init=_make_table,
        ssl=tls(url),
    )
    try:
        yield PostgresUsage(pool)
    finally:
        with suppress(*_FAILURES):
            async with asyncio.timeout(_SECONDS):
                await pool.close()
