"""Connects to Redis, and translates its failures."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from app.adapters.trust import strict
from app.domain.errors import ServiceError

PATIENCE = 2
"""Seconds for a connection, and for an answer."""


@contextmanager
def translated(to: type[ServiceError], *unreadable: type[Exception]) -> Iterator[None]:
    """Raise an error of Redis, or one of ``unreadable`` of what stands there, as one of ours."""
    failures: tuple[type[Exception], ...] = (RedisError, OSError, *unreadable)
    try:
        yield
    except failures as error:
        # The type only: a message may quote the address with its password.
        raise to(f"Redis can't be used: {type(error).__name__}") from error


class StrictConnection(SSLConnection):
    """A connection that checks the server's name among its alternative names only."""

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(super()._connection_arguments())
        strict(arguments["ssl"])
        return arguments


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator["Redis"]:
    """Open a client of Redis with short timeouts; nothing is sent before it is used."""
    pool: ConnectionPool = ConnectionPool.from_url(
        url,
        decode_responses=True,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        # Once, for a connection that a restart broke. The library would try three times more, also
        # after a time-out: that multiplies the wait, and a command may be carried out twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    if issubclass(pool.connection_class, SSLConnection):
        pool.connection_class = StrictConnection
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()
