"""Callers' wrapped secrets in PostgreSQL, for several replicas: a row for each owner."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from asyncpg import Connection, Pool

from app.adapters.encryption.keys import WrappedSecret
from app.adapters.stores.postgres import SECONDS, creating, open_pool, translated
from app.domain.errors import DataKeyError

TABLE = "llama_vision_caller_keys"
_CREATE = f"""
SELECT pg_advisory_xact_lock(hashtext('{TABLE}'));
CREATE TABLE IF NOT EXISTS {TABLE} (
    owner TEXT PRIMARY KEY, root TEXT NOT NULL, wrapped TEXT NOT NULL
)
"""
_GET = f"SELECT root, wrapped FROM {TABLE} WHERE owner = $1"  # noqa: S608 - this module's name
_ADD = f"INSERT INTO {TABLE} VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"  # noqa: S608 - as above
_REPLACE = f"""
UPDATE {TABLE} SET root = $4, wrapped = $5 WHERE owner = $1 AND root = $2 AND wrapped = $3
"""  # noqa: S608 - as above
_DROP = f"DELETE FROM {TABLE} WHERE owner = $1"  # noqa: S608 - as above
_OWNERS = f"SELECT owner FROM {TABLE} ORDER BY owner"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class CallerKeysInPostgres:
    """A CallerKeyStore in a table."""

    pool: Pool

    async def get(self, owner: str) -> WrappedSecret | None:
        """Return the owner's secret; None if there is none."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_GET, owner)
        return None if row is None else WrappedSecret(*row)

    async def add(self, owner: str, wrapped: WrappedSecret) -> WrappedSecret:
        """Store ``wrapped`` unless the owner has a secret, and return the stored one."""
        async with self._connection() as connection:
            await connection.execute(_ADD, owner, wrapped.root, wrapped.text)
            row = await connection.fetchrow(_GET, owner)
        if row is None:
            raise DataKeyError("the caller's data is being erased")
        return WrappedSecret(*row)

    async def replace(self, owner: str, old: WrappedSecret, new: WrappedSecret) -> bool:
        """Replace ``old`` by ``new``, and tell whether ``old`` was stored."""
        async with self._connection() as connection:
            status = await connection.execute(
                _REPLACE, owner, old.root, old.text, new.root, new.text
            )
        return bool(status == "UPDATE 1")

    async def drop(self, owner: str) -> bool:
        """Forget the owner's secret."""
        async with self._connection() as connection:
            return bool(await connection.execute(_DROP, owner) == "DELETE 1")

    async def owners(self) -> AsyncIterator[str]:
        """Yield the digests of all owners."""
        async with self._connection() as connection:
            rows = await connection.fetch(_OWNERS)
        for row in rows:
            yield row["owner"]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated(DataKeyError):
            async with self.pool.acquire(timeout=SECONDS) as connection:
                yield connection


@asynccontextmanager
async def open_caller_keys(url: str) -> AsyncIterator[CallerKeysInPostgres]:
    """Open a pool with short timeouts; nothing is sent before it is used."""
    async with open_pool(url, creating(TABLE, _CREATE)) as pool:
        yield CallerKeysInPostgres(pool)
