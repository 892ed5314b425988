"""The contract of every RateLimiter: in memory and in a real Redis."""

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from app.adapters.stores.rate_limiter import WindowedLimiter, open_limiter
from app.adapters.stores.redis_limits import RestingLimiter
from app.adapters.stores.windows import MemoryWindows, Window
from app.domain.errors import LimiterUnavailableError, RateLimitedError
from app.domain.limit import Quota, parse
from app.domain.ports import RateLimiter
from tests.support.servers.redis import redis_server

HOUR = parse({"requests": "10/hour"})
SOON = parse({"requests": "10/second"})
BOTH = parse({"tokens": "5/hour; 100/day"})


@pytest.fixture(params=["memory", "redis"])
async def limiter(request) -> AsyncIterator[RateLimiter]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    async with open_limiter(url) as opened:
        yield opened


@pytest.fixture
def holder() -> str:
    return uuid.uuid4().hex


async def left(limiter: RateLimiter, holder: str, quotas: tuple[Quota, ...]) -> list[int]:
    return [status.remaining for status in await limiter.take(holder, quotas, 0)]


async def test_a_quota_is_used_up_and_then_refused_by_name(limiter, holder):
    (status,) = await limiter.take(holder, HOUR, 9)
    assert status.remaining == 1
    assert 3500 < status.reset <= 3601
    await limiter.take(holder, HOUR, 1)

    with pytest.raises(RateLimitedError, match="requests: 10 per 3600 s is used up") as refused:
        await limiter.take(holder, HOUR, 1)

    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 3500
    assert refused.value.quota_statuses[0].remaining == 0


async def test_holders_do_not_share_a_quota(limiter, holder):
    await limiter.take(holder, HOUR, 10)

    assert await left(limiter, holder + "2", HOUR) == [10]


async def test_refused_requests_take_no_quota(limiter, holder):
    await limiter.take(holder, BOTH, 4)

    with pytest.raises(RateLimitedError, match="5 per 3600"):
        await limiter.take(holder, BOTH, 2)

    assert await left(limiter, holder, BOTH) == [1, 96]


async def test_a_request_over_the_whole_quota_is_refused_without_retry_after(limiter, holder):
    await limiter.take(holder, HOUR, 3)
    with pytest.raises(RateLimitedError, match="this request alone") as refused:
        await limiter.take(holder, HOUR, 11)

    assert (refused.value.retry_after, refused.value.retryable) == (None, False)
    assert refused.value.quota_statuses[0].remaining == 7
    assert await left(limiter, holder, HOUR) == [7]


async def test_unused_quota_is_returned_and_overuse_is_charged_without_refusal(limiter, holder):
    taken = await limiter.take(holder, HOUR, 8)
    await limiter.settle(holder, taken, -5)
    assert await left(limiter, holder, HOUR) == [7]

    await limiter.settle(holder, taken, 20)
    assert (await limiter.take(holder, (), 1)) == ()
    with pytest.raises(RateLimitedError):
        await limiter.take(holder, HOUR, 1)


async def test_returned_quota_goes_to_its_own_window(limiter, holder):
    early = await limiter.take(holder, SOON, 8)
    await asyncio.sleep(1.05)
    late = await limiter.take(holder, SOON, 6)

    await limiter.settle(holder, early, -6)
    await limiter.settle(holder, late, -1)
    assert await left(limiter, holder, SOON) == [5]


async def test_quota_is_not_returned_to_a_window_that_has_not_begun(limiter, holder):
    taken = await limiter.take(holder, SOON, 8)
    await asyncio.sleep(1.05)
    await limiter.settle(holder, taken, -5)

    assert await left(limiter, holder, SOON) == [10]


async def test_concurrent_calls_never_exceed_the_quota(limiter, holder):
    taken = await asyncio.gather(
        *(limiter.take(holder, HOUR, 1) for _ in range(30)), return_exceptions=True
    )

    assert sum(isinstance(one, tuple) for one in taken) <= 10
    assert await left(limiter, holder, HOUR) == [0]


async def test_two_replicas_share_a_redis(redis_url, holder):
    async with open_limiter(redis_url) as first, open_limiter(redis_url) as second:
        await first.take(holder, HOUR, 6)
        (status,) = await second.take(holder, HOUR, 3)

    assert status.remaining == 1


async def test_an_unreachable_redis_is_an_error_without_its_password(holder):
    async with open_limiter("redis://:hunter2@127.0.0.1:1/0") as away:
        with pytest.raises(LimiterUnavailableError) as raised:
            await away.take(holder, HOUR, 1)

    assert "hunter2" not in raised.value.detail


@pytest.mark.timeout(20)
async def test_a_silent_redis_is_waited_for_once(holder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with open_limiter(f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as limiter:
            started = time.monotonic()
            for _ in range(3):
                with pytest.raises(LimiterUnavailableError):
                    await limiter.take(holder, BOTH, 1)

    assert time.monotonic() - started < 3.5


async def test_a_restarted_redis_is_used_at_once(tmp_path, holder):
    with redis_server(tmp_path) as url, redis.from_url(url) as other:
        async with open_limiter(url) as limiter:
            await limiter.take(holder, HOUR, 1)
            other.client_kill_filter(skipme=True, _type="normal")

            assert await left(limiter, holder, HOUR) == [9]


class Moody:
    """Fails a given number of times."""

    def __init__(self, *away: bool) -> None:
        self.away = list(away)

    async def take(self, holder, quotas, amount):
        if self.away.pop(0):
            raise ConnectionError("away")
        return ()

    async def settle(self, holder, taken, difference):
        await self.take(holder, (), difference)


async def test_after_a_failure_a_limiter_is_skipped_for_a_while_and_then_tried_by_one_call(holder):
    inner = Moody(True, True, False, False)
    limiter = RestingLimiter(inner, rest=60)

    async def outcomes(count: int) -> list[bool]:
        calls = (limiter.take(holder, HOUR, 1) for _ in range(count))
        found = await asyncio.gather(*calls, return_exceptions=True)
        return [isinstance(one, tuple) for one in found]

    assert await outcomes(1) == [False]
    assert await outcomes(3) == [False] * 3
    assert len(inner.away) == 3
    limiter._until -= 60
    assert await outcomes(3) == [False] * 3
    assert len(inner.away) == 2
    limiter._until -= 60
    assert await outcomes(1) == [True]
    assert await outcomes(1) == [True]


class Stumbling(MemoryWindows):
    """Calls ``stumble`` before it counts in a second window, and can fail from then on."""

    def __init__(self, stumble: Callable[[], Awaitable[object]], *, gone: bool = False) -> None:
        super().__init__()
        self.stumble, self.gone, self.adds = stumble, gone, 0

    async def add(self, key: str, seconds: int, amount: int) -> Window:
        self.adds += 1
        if self.adds == 2:
            await self.stumble()
        return await super().add(key, seconds, amount)

    async def correct(self, key: str, ends: float, difference: int) -> None:
        if self.gone:
            await self.stumble()
        await super().correct(key, ends, difference)


async def broken() -> None:
    raise ConnectionResetError


async def silent() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("stumble", [broken, silent])
async def test_a_request_refused_by_one_quota_takes_nothing_from_the_others(stumble, holder):
    limiter = WindowedLimiter(Stumbling(stumble))
    with pytest.raises((ConnectionResetError, TimeoutError)):
        async with asyncio.timeout(0.05):
            await limiter.take(holder, BOTH, 4)

    assert await left(limiter, holder, BOTH) == [5, 100]


@pytest.mark.parametrize(
    ("stumble", "error"), [(broken, ConnectionResetError), (silent, TimeoutError)]
)
async def test_returning_quota_does_not_wait_again_for_expired_windows(stumble, error, holder):
    limiter = WindowedLimiter(Stumbling(stumble, gone=True))
    started = time.monotonic()
    with pytest.raises(error):
        async with asyncio.timeout(0.05):
            await limiter.take(holder, BOTH, 4)

    assert time.monotonic() - started < 1
