"""The audit log in PostgreSQL, for several replicas: a row for each record and each node."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date

from asyncpg import Connection, Pool

from app.adapters.audit.files import today
from app.adapters.stores.postgres import SECONDS, creating, open_pool, translated
from app.domain.errors import AuditUnavailableError
from app.domain.merkle import Node, appended, cover, leaf_hash

TABLE = "llama_vision_audit"
NODES = "llama_vision_audit_nodes"
_CREATE = f"""
SELECT pg_advisory_xact_lock(hashtext('{TABLE}'));
CREATE TABLE IF NOT EXISTS {TABLE} (
    number BIGINT PRIMARY KEY, day DATE NOT NULL, record BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS {NODES} (
    level SMALLINT, number BIGINT, hash BYTEA NOT NULL, PRIMARY KEY (level, number)
)
"""
_LOCK = f"SELECT pg_advisory_xact_lock(hashtext('{NODES}'))"
# S608: the names are this module's own.
_SIZE = f"SELECT coalesce(max(number) + 1, 0) FROM {NODES} WHERE level = 0"  # noqa: S608
_ADD = f"INSERT INTO {TABLE} VALUES ($1, $2, $3)"  # noqa: S608
_ADD_NODE = f"INSERT INTO {NODES} VALUES ($1, $2, $3)"  # noqa: S608
_NODE = f"SELECT hash FROM {NODES} WHERE level = $1 AND number = $2"  # noqa: S608
_RECORD = f"SELECT record FROM {TABLE} WHERE number = $1"  # noqa: S608
_FORGET = f"DELETE FROM {TABLE} WHERE day < $1"  # noqa: S608


@dataclass(frozen=True, slots=True)
class AuditInPostgres:
    """An AuditStore in two tables."""

    pool: Pool
    today: Callable[[], date] = today

    async def append(self, records: Sequence[bytes]) -> int:
        """Add ``records`` in one transaction, and return how many there are."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            size: int = await connection.fetchval(_SIZE)
            edge = {node: await _node(connection, node) for node in cover((0, size))}
            new = appended(size, edge, [leaf_hash(record) for record in records])
            day = self.today()
            rows = [(number, day, record) for number, record in enumerate(records, start=size)]
            await connection.executemany(_ADD, rows)
            await connection.executemany(
                _ADD_NODE, [(level, number, digest) for (level, number), digest in new.items()]
            )
            return size + len(records)

    async def size(self) -> int:
        """Return how many records there are."""
        async with self._connection() as connection:
            size: int = await connection.fetchval(_SIZE)
            return size

    async def nodes(self, wanted: Sequence[Node]) -> list[bytes]:
        """Return complete nodes' hashes."""
        async with self._connection() as connection:
            return [await _node(connection, node) for node in wanted]

    async def record(self, index: int) -> bytes | None:
        """Return a record; None if it is too old to be kept."""
        async with self._connection() as connection:
            record: bytes | None = await connection.fetchval(_RECORD, index)
            return record

    async def forget(self, before: date) -> int:
        """Delete the records of the days before ``before``; their hashes stay."""
        async with self._connection() as connection:
            status: str = await connection.execute(_FORGET, before)
            return int(status.split()[-1])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated(AuditUnavailableError):
            async with self.pool.acquire(timeout=SECONDS) as connection:
                yield connection


async def _node(connection: Connection, node: Node) -> bytes:
    digest: bytes | None = await connection.fetchval(_NODE, *node)
    if digest is None:
        raise AuditUnavailableError("the audit log lacks a node of its tree")
    return digest


@asynccontextmanager
async def open_audit(url: str) -> AsyncIterator[AuditInPostgres]:
    """Open a pool with short timeouts; nothing is sent before it is used."""
    async with open_pool(url, creating(TABLE, _CREATE)) as pool:
        yield AuditInPostgres(pool)
