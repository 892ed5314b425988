"""What every RateLimiter does: in memory, and in a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from app.adapters.stores.rate_limiter import open_limiter
from app.domain.errors import LimiterUnavailableError, RateLimitedError
from app.domain.limit import Quota, parse
from app.domain.ports import RateLimiter

HOUR = parse({"requests": "10/hour"})
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
    return [standing.remaining for standing in await limiter.take(holder, quotas, 0)]


async def test_a_quota_is_taken_down_to_nothing_and_then_refused_by_name(limiter, holder):
    (standing,) = await limiter.take(holder, HOUR, 9)
    assert standing.remaining == 1
    assert 3500 < standing.reset <= 3601
    await limiter.take(holder, HOUR, 1)

    with pytest.raises(RateLimitedError, match="requests: 10 per 3600 s is used up") as refused:
        await limiter.take(holder, HOUR, 1)

    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 3500
    assert refused.value.standings[0].remaining == 0


async def test_holders_do_not_share(limiter, holder):
    await limiter.take(holder, HOUR, 10)

    assert await left(limiter, holder + "2", HOUR) == [10]


async def test_what_is_refused_takes_nothing_of_any_quota(limiter, holder):
    await limiter.take(holder, BOTH, 4)

    with pytest.raises(RateLimitedError, match="5 per 3600"):
        await limiter.take(holder, BOTH, 2)

    assert await left(limiter, holder, BOTH) == [1, 96]


async def test_more_than_the_whole_quota_is_refused_with_no_word_of_waiting(limiter, holder):
    with pytest.raises(RateLimitedError, match="this request alone") as refused:
        await limiter.take(holder, HOUR, 11)

    assert refused.value.retry_after is None
    assert await left(limiter, holder, HOUR) == [10]


async def test_what_was_not_used_is_given_back_and_more_is_taken_without_refusal(limiter, holder):
    await limiter.take(holder, HOUR, 8)
    await limiter.settle(holder, HOUR, -5)
    assert await left(limiter, holder, HOUR) == [7]

    await limiter.settle(holder, HOUR, 20)
    assert (await limiter.take(holder, (), 1)) == ()
    with pytest.raises(RateLimitedError):
        await limiter.take(holder, HOUR, 1)


async def test_nothing_is_given_back_into_a_window_that_has_not_begun(limiter, holder):
    await limiter.settle(holder, HOUR, -5)

    assert await left(limiter, holder, HOUR) == [10]


async def test_calls_at_the_same_time_never_get_more_than_the_quota(limiter, holder):
    taken = await asyncio.gather(
        *(limiter.take(holder, HOUR, 1) for _ in range(30)), return_exceptions=True
    )

    assert sum(isinstance(one, tuple) for one in taken) <= 10
    assert await left(limiter, holder, HOUR) == [0]


async def test_two_replicas_share_a_redis(redis_url, holder):
    async with open_limiter(redis_url) as first, open_limiter(redis_url) as second:
        await first.take(holder, HOUR, 6)
        (standing,) = await second.take(holder, HOUR, 3)

    assert standing.remaining == 1


async def test_a_redis_that_is_away_is_an_error_without_its_password(holder):
    async with open_limiter("redis://:hunter2@127.0.0.1:1/0") as away:
        with pytest.raises(LimiterUnavailableError) as raised:
            await away.take(holder, HOUR, 1)

    assert "hunter2" not in raised.value.detail
