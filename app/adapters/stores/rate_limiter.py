"""Quotas in fixed windows: in memory, or in Redis for replicas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

from app.adapters.stores.windows import MemoryWindows, Windows
from app.domain.errors import RateLimitedError
from app.domain.limit import Quota, QuotaStatus
from app.domain.ports import RateLimiter

UNDOING = 0.2
"""Seconds to undo a failed take."""


@dataclass(frozen=True, slots=True)
class WindowedLimiter:
    """Counts each caller's use of each quota, in windows that begin with the first use."""

    windows: Windows

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[QuotaStatus, ...]:
        """Take ``amount`` of every quota; or take nothing and raise RateLimitedError."""
        quota_statuses: list[QuotaStatus] = []
        try:
            for quota in quotas:
                window = await self.windows.add(_key(holder, quota), quota.window, amount)
                left = quota.amount - window.count
                status = QuotaStatus(quota, max(0, left), max(0.0, window.left), window.ends)
                quota_statuses.append(status)
                if left < 0:
                    raise _refusal(status, window.count - amount, amount)
        except BaseException:
            # A refused one was counted too.
            await self._undo(holder, tuple(quota_statuses), amount)
            raise
        return tuple(quota_statuses)

    async def _undo(self, holder: str, taken: tuple[QuotaStatus, ...], amount: int) -> None:
        """Give ``amount`` back, unless the store fails, as the caller already has an error."""
        if taken:
            # Any error of the store, as the error that the caller gets says more.
            with suppress(Exception):
                async with asyncio.timeout(UNDOING):
                    await self.settle(holder, taken, -amount)

    async def settle(self, holder: str, taken: tuple[QuotaStatus, ...], difference: int) -> None:
        """Add ``difference``, which may be negative; never refuses."""
        for status in taken:
            await self.windows.correct(_key(holder, status.quota), status.ends, difference)


def _refusal(status: QuotaStatus, before: int, amount: int) -> RateLimitedError:
    quota = status.quota
    status = status._replace(remaining=max(0, quota.amount - before))
    if amount > quota.amount:
        return RateLimitedError(
            f"this request alone is more than the limit {quota} allows",
            quota_statuses=(status,),
            retryable=False,
        )
    return RateLimitedError(
        f"the limit {quota} is used up", retry_after=status.reset, quota_statuses=(status,)
    )


def _key(holder: str, quota: Quota) -> str:
    return _named(holder, quota.name, quota.amount, quota.window)


@lru_cache(maxsize=4096)  # of plain values, whose hashes are at hand
def _named(holder: str, name: str, amount: int, window: int) -> str:
    return f"llama-vision/{holder}/{name}/{amount}/{window}/second"


@asynccontextmanager
async def open_limiter(redis_url: str | None) -> AsyncIterator[RateLimiter]:
    """Open a limiter for all replicas that share a Redis, or for this process alone."""
    if redis_url is None:
        yield WindowedLimiter(MemoryWindows())
        return
    # A process that counts alone need not load the client of Redis.
    from app.adapters.stores.redis_client import open_redis
    from app.adapters.stores.redis_limits import RedisWindows, RestingLimiter

    async with open_redis(redis_url) as client:
        yield RestingLimiter(WindowedLimiter(RedisWindows(client)))
