"""Quotas in fixed windows, by the library ``limits``: in memory, or in Redis for replicas."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from app.domain.errors import LimiterUnavailableError, RateLimitedError
from app.domain.limit import Quota, Standing


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        # The type only: a message may quote the address with its password.
        raise LimiterUnavailableError(f"Redis can't be used: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class WindowedLimiter:
    """Counts each holder's use of each quota from the window's first use to its end."""

    windows: FixedWindowRateLimiter

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[Standing, ...]:
        """Take ``amount`` of every quota, or of none and raise RateLimitedError."""
        taken: list[Quota] = []
        with _translated():
            for quota in quotas:
                taken.append(quota)
                if not await self.windows.hit(_item(quota), *_names(holder, quota), cost=amount):
                    # A refused hit was counted too.
                    await self._add(holder, taken, -amount)
                    raise await self._refusal(holder, quota, amount)
            return tuple([await self._standing(holder, quota) for quota in quotas])

    async def settle(self, holder: str, quotas: tuple[Quota, ...], difference: int) -> None:
        """Count ``difference`` more, or less where it is negative; never refuses."""
        with _translated():
            await self._add(holder, quotas, difference)

    async def _add(
        self, holder: str, quotas: tuple[Quota, ...] | list[Quota], difference: int
    ) -> None:
        for quota in quotas:
            item = _item(quota)
            counter = item.key_for(*_names(holder, quota))
            # In a window begun since then there is nothing to give back.
            if difference >= 0 or await self.windows.storage.get(counter) >= -difference:
                await self.windows.storage.incr(counter, item.get_expiry(), amount=difference)

    async def _standing(self, holder: str, quota: Quota) -> Standing:
        found = await self.windows.get_window_stats(_item(quota), *_names(holder, quota))
        return Standing(quota, max(0, found.remaining), max(0.0, found.reset_time - time.time()))

    async def _refusal(self, holder: str, quota: Quota, amount: int) -> RateLimitedError:
        if amount > quota.amount:
            return RateLimitedError(f"this request alone is more than the limit {quota} allows")
        standing = await self._standing(holder, quota)
        return RateLimitedError(
            f"the limit {quota} is used up", retry_after=standing.reset, standings=(standing,)
        )


@lru_cache(maxsize=4096)
def _item(quota: Quota) -> RateLimitItem:
    return RateLimitItemPerSecond(quota.amount, quota.window, namespace="llama-vision")


def _names(holder: str, quota: Quota) -> tuple[str, str]:
    return holder, quota.name


@asynccontextmanager
async def open_limiter(redis_url: str | None) -> AsyncIterator[WindowedLimiter]:
    """Open a limiter for all replicas that share a Redis, or for this process alone."""
    if redis_url is None:
        yield WindowedLimiter(FixedWindowRateLimiter(MemoryStorage()))
        return
    storage = RedisStorage(
        f"async+{redis_url}",
        implementation="redispy",
        key_prefix="llama-vision:limits",
        socket_timeout=2,
        socket_connect_timeout=2,
    )
    try:
        yield WindowedLimiter(FixedWindowRateLimiter(storage))
    finally:
        await storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]
