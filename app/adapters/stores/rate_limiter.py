"""Quotas in fixed windows, by the library ``limits``: in memory, or in Redis for replicas."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from redis.exceptions import RedisError

from app.adapters.stores.windows import MemoryWindows, Windows
from app.domain.errors import LimiterUnavailableError, RateLimitedError
from app.domain.limit import Quota, Standing

_AWAY = (RedisError, OSError)


def _unavailable(error: Exception) -> LimiterUnavailableError:
    # The type only: a message may quote the address with its password.
    return LimiterUnavailableError(f"Redis can't be used: {type(error).__name__}")


@dataclass(frozen=True, slots=True)
class WindowedLimiter:
    """Counts each holder's use of each quota from the window's first use to its end."""

    storage: Windows

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[Standing, ...]:
        """Take ``amount`` of every quota, or of none and raise RateLimitedError."""
        standings: list[Standing] = []
        try:
            for taken, quota in enumerate(quotas, 1):
                key = _key(holder, quota)
                count = await self.storage.incr(key, quota.window, amount)
                if count > quota.amount:
                    # A refused one was counted too.
                    await self._add(holder, quotas[:taken], -amount)
                    raise await self._refusal(holder, quota, amount)
                standings.append(await self._standing(key, quota, count))
        except _AWAY as error:
            raise _unavailable(error) from error
        return tuple(standings)

    async def settle(self, holder: str, quotas: tuple[Quota, ...], difference: int) -> None:
        """Count ``difference`` more, or less where it is negative; never refuses."""
        try:
            await self._add(holder, quotas, difference)
        except _AWAY as error:
            raise _unavailable(error) from error

    async def _add(self, holder: str, quotas: tuple[Quota, ...], difference: int) -> None:
        for quota in quotas:
            key = _key(holder, quota)
            # In a window begun since then there is nothing to give back.
            if difference >= 0 or await self.storage.get(key) >= -difference:
                await self.storage.incr(key, quota.window, difference)

    async def _standing(self, key: str, quota: Quota, count: int) -> Standing:
        reset = await self.storage.get_expiry(key) - time.time()
        return Standing(quota, max(0, quota.amount - count), max(0.0, reset))

    async def _refusal(self, holder: str, quota: Quota, amount: int) -> RateLimitedError:
        if amount > quota.amount:
            return RateLimitedError(f"this request alone is more than the limit {quota} allows")
        key = _key(holder, quota)
        standing = await self._standing(key, quota, await self.storage.get(key))
        return RateLimitedError(
            f"the limit {quota} is used up", retry_after=standing.reset, standings=(standing,)
        )


def _key(holder: str, quota: Quota) -> str:
    return _named(holder, quota.name, quota.amount, quota.window)


@lru_cache(maxsize=4096)  # of plain values, whose hashes are at hand
def _named(holder: str, name: str, amount: int, window: int) -> str:
    item = RateLimitItemPerSecond(amount, window, namespace="llama-vision")
    return item.key_for(holder, name)


@asynccontextmanager
async def open_limiter(redis_url: str | None) -> AsyncIterator[WindowedLimiter]:
    """Open a limiter for all replicas that share a Redis, or for this process alone."""
    if redis_url is None:
        yield WindowedLimiter(MemoryWindows())
        return
    storage = RedisStorage(
        f"async+{redis_url}",
        implementation="redispy",
        key_prefix="llama-vision:limits",
        socket_timeout=2,
        socket_connect_timeout=2,
    )
    try:
        yield WindowedLimiter(storage)
    finally:
        await storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]
