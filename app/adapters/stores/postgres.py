"""Connects to PostgreSQL, for usage, keys and the audit log."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import parse_qsl, urlsplit

import structlog
from asyncpg import (
    Connection,
    InterfaceError,
    InternalClientError,
    Pool,
    PostgresError,
    create_pool,
)

from app.adapters.trust import trusted
from app.domain.errors import ServiceError

log = structlog.get_logger()

SECONDS = 2
"""Seconds for a connection, and for each statement."""
_CHECKED = ("require", "verify-ca", "verify-full")
_HERE = (None, "localhost", "127.0.0.1", "::1")
_CONNECTIONS = 2
"""Connections of one process: one that adds, and one that reads meanwhile."""

# ValueError: asyncpg reads the address when it connects.
FAILURES = (PostgresError, InterfaceError, InternalClientError, OSError, ValueError)


Prepare = Callable[[Connection], Awaitable[None]]
"""Makes a new connection ready, such as by creating the tables that it is to use."""


@contextmanager
def translated(to: type[ServiceError]) -> Iterator[None]:
    """Raise an error of PostgreSQL as one of ours."""
    try:
        yield
    except FAILURES as error:
        # The type only, and no cause: a message may quote the address with its password.
        raise to(f"PostgreSQL can't be used: {type(error).__name__}") from None


@asynccontextmanager
async def open_pool(url: str, prepare: Prepare, seconds: float = SECONDS) -> AsyncIterator[Pool]:
    """Open a pool with short timeouts; nothing is sent before it is used.

    ``prepare`` is called for each new connection before it is used. A statement has ``seconds``.
    """
    pool = await create_pool(
        url,
        min_size=0,
        max_size=_CONNECTIONS,
        command_timeout=seconds,
        init=prepare,
        reset=_unchanged,
        ssl=tls(url),
    )
    try:
        yield pool
    finally:
        with suppress(*FAILURES):
            async with asyncio.timeout(SECONDS):
                await pool.close()


async def _unchanged(_: Connection) -> None:
    """Leave a returned connection as it is, in place of the pool's own statements.

    Those would be one more round trip after each use. No store sets anything that outlives its
    transaction, and the pool itself ends one that was left open.
    """


def creating(table: str, create: str) -> Prepare:
    """Return a function that creates ``table`` and its indexes by the statements ``create``.

    They are sent as one, so they are one transaction, and begin with a lock: of two that create at
    once one fails, IF NOT EXISTS or not.
    """

    async def make_table(connection: Connection) -> None:
        # Checked first, as a user of an existing table may lack the right to create one.
        if not await connection.fetchval(f"SELECT to_regclass('{table}') IS NOT NULL"):
            await connection.execute(create)

    return make_table


def tls(url: str) -> ssl.SSLContext | None:
    """Return the TLS context that ``url`` asks for; None if it asks for none.

    ``require`` asks for no check in PostgreSQL's own terms, which any impostor passes; here it
    means ``verify-full``.
    """
    options = dict(parse_qsl(urlsplit(url).query))
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode not in _CHECKED:
        if urlsplit(url).hostname not in _HERE:
            log.warning("PostgreSQL is not verified", advice="add ?sslmode=verify-full")
        return None
    root = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    # libpq's word for the system's own.
    context = trusted(None if root == "system" else root)
    certificate = options.get("sslcert") or os.environ.get("PGSSLCERT")
    if certificate:
        context.load_cert_chain(certificate, options.get("sslkey") or os.environ.get("PGSSLKEY"))
    return context
