"""Checks whether Redis lets the service count limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from app.adapters.stores.redis_client import PATIENCE, open_redis
from app.adapters.stores.redis_limits import RedisWindows
from app.domain.errors import NotReadyError


@dataclass(frozen=True, slots=True)
class ScriptsCheck:
    """Readiness: Redis runs the scripts that count limits.

    A Redis that is away counts as ready: a setting decides whether calls pass then, and it may
    come back.
    """

    windows: RedisWindows

    async def check(self) -> None:
        """Raise NotReadyError if Redis refuses the scripts for good."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.windows.add("llama-vision:readiness", 1, 0)
        except (RedisError, OSError) as error:
            if _is_lasting(error):
                # The type only: a message may quote the address with its password.
                raise NotReadyError(
                    f"Redis refuses to count limits ({type(error).__name__}): its user needs "
                    "EVALSHA and SCRIPT LOAD, and to write. Until then limits are not enforced."
                ) from error


def _is_lasting(error: Exception) -> bool:
    if isinstance(error, AuthenticationError | NoPermissionError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and "unknown command" in str(error).lower()


@asynccontextmanager
async def open_scripts_check(redis_url: str) -> AsyncIterator[ScriptsCheck]:
    """Open a check with a connection of its own, which is made when it is first asked."""
    async with open_redis(redis_url) as client:
        yield ScriptsCheck(RedisWindows(client))
