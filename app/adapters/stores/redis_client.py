"""How Redis is reached: by whoever counts limits, and by whoever keeps usage."""

from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

PATIENCE = 2
"""Seconds for a connection, and for an answer."""


def options() -> dict[str, Any]:
    """Return a client's options, of its own for each."""
    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        # Once, for a connection that a restart broke. The library would try three times more, also
        # where nothing came in time: that multiplies the wait, and what was sent may be done twice.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
