"""Counts quotas in Redis for all replicas, and pauses while Redis fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.stores.redis_client import PATIENCE
from app.adapters.stores.windows import Window
from app.domain.errors import LimiterUnavailableError, RateLimitedError
from app.domain.limit import Quota, QuotaStatus
from app.domain.ports import RateLimiter

# Adds, and begins a window if there is none. A window's end is a time of Redis's clock, so that all
# replicas speak of the same moment; with the milliseconds until then. Its time and a counter's life
# are read apart, so the sum may be one off.
_ADD = """
local count = redis.call('incrby', KEYS[1], ARGV[2])
if redis.call('pttl', KEYS[1]) < 0 then redis.call('expire', KEYS[1], ARGV[1]) end
local left = redis.call('pttl', KEYS[1])
local now = redis.call('time')
return {count, now[1] * 1000 + math.floor(now[2] / 1000) + left, left}
"""
# No two windows of one counter end within half a second, as the shortest lasts a second.
_CORRECT = """
local left = redis.call('pttl', KEYS[1])
local now = redis.call('time')
local ends = now[1] * 1000 + math.floor(now[2] / 1000) + left
if left > 0 and math.abs(ends - ARGV[1]) < 500 then redis.call('incrby', KEYS[1], ARGV[2]) end
"""
_PREFIX = "llama-vision:limits:"


class RedisWindows:
    """Counts in Redis, for all replicas that share it."""

    def __init__(self, client: "Redis") -> None:
        self._add = client.register_script(_ADD)
        self._correct = client.register_script(_CORRECT)

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        """Add ``amount``, in a new window of ``seconds`` if there is none; return the window."""
        count, ends, left = await self._add([_PREFIX + key], [seconds, amount])
        return Window(count, ends / 1000, max(left, 0) / 1000)

    async def correct(self, key: str, ends: float, difference: int) -> None:
        """Add ``difference`` to the window that ends at ``ends``, if it still exists."""
        await self._correct([_PREFIX + key], [round(ends * 1000), difference])


@dataclass(slots=True)
class RestingLimiter:
    """Calls ``inner`` with a time limit of two seconds, and rests after a failure.

    So a Redis that hangs delays the requests of the moment, and not every later one.
    """

    inner: RateLimiter
    rest: float = 5
    """Seconds of rest after a failure."""
    _until: float = 0

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[QuotaStatus, ...]:
        """Take as ``inner`` does."""
        async with self._awake():
            return await self.inner.take(holder, quotas, amount)

    async def settle(self, holder: str, taken: tuple[QuotaStatus, ...], difference: int) -> None:
        """Settle as ``inner`` does."""
        async with self._awake():
            await self.inner.settle(holder, taken, difference)

    @asynccontextmanager
    async def _awake(self) -> AsyncIterator[None]:
        now = time.monotonic()
        if now < self._until:
            raise LimiterUnavailableError(
                "Redis failed and is not called for a while", retry_after=self._until - now
            )
        if self._until:
            # The first request probes Redis; the others don't wait for it.
            self._until = now + self.rest
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except RateLimitedError:
            self._until = 0
            raise
        except (RedisError, OSError) as error:
            self._until = time.monotonic() + self.rest
            # The type only: a message may quote the address with its password.
            raise LimiterUnavailableError(f"Redis can't be used: {type(error).__name__}") from error
        self._until = 0
