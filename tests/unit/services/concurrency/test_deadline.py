"""Shutdown and deadlines."""

import asyncio
import math

import pytest

from app.domain.errors import DeadlineExceededError, NotReadyError, ShuttingDownError
from app.services.concurrency.deadline import Drain


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_draining_only_fails_readiness():
    drain = Drain()
    await drain.check()
    drain.begin()

    with pytest.raises(NotReadyError):
        await drain.check()
    async with drain.before(math.inf):
        through = True
    assert through


async def test_closing_ends_every_wait_and_refuses_new_ones():
    drain = Drain()

    async def wait() -> None:
        async with drain.before(math.inf):
            await asyncio.Event().wait()

    waits = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    drain.close()

    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ShuttingDownError] * 3
    with pytest.raises(ShuttingDownError):
        await wait()


async def test_a_deadline_at_the_moment_of_closing_keeps_no_other_wait_open():
    drain = Drain()

    async def wait(deadline: float) -> None:
        async with drain.before(deadline):
            await asyncio.Event().wait()

    passed = asyncio.create_task(wait(now() + 0.001))
    other = asyncio.create_task(wait(math.inf))
    await asyncio.sleep(0)
    while not passed.cancelling():  # noqa: ASYNC110 - no event announces it
        await asyncio.sleep(0)
    drain.close()

    outcomes = await asyncio.gather(passed, other, return_exceptions=True)
    assert isinstance(outcomes[1], ShuttingDownError)


async def test_the_block_is_cancelled_at_its_deadline():
    with pytest.raises(DeadlineExceededError):
        async with Drain().before(now()):
            await asyncio.Event().wait()


async def test_the_blocks_own_timeout_is_not_mistaken_for_the_deadline():
    with pytest.raises(TimeoutError) as raised:
        async with Drain().before(math.inf):
            raise TimeoutError("something else")
    assert not isinstance(raised.value, DeadlineExceededError)


async def test_a_wait_can_be_entered_again_with_the_same_deadline():
    within = Drain().before(now() + 0.05)
    for _ in range(2):
        async with within:
            await asyncio.sleep(0)
    with pytest.raises(DeadlineExceededError):
        async with within:
            await asyncio.Event().wait()


async def test_a_finished_wait_is_forgotten():
    drain = Drain()
    async with drain.before(math.inf):
        assert len(drain.waits) == 1
    assert not drain.waits
