"""Budgets of what is in flight, tested by counts and never by times."""

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.domain.errors import (
    DeadlineExceededError,
    ImageSourceNotFoundError,
    OverloadedError,
)
from app.domain.image import ReceivedImage, UrlImage
from app.services.concurrency.budget import Budget, Reservation
from app.services.concurrency.deadline import Drain
from app.services.generation.image_sources import ImageSources
from tests.support.fakes.ports import FakeImageSource
from tests.support.files.pictures import ASTRONAUT


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def hold(budget: Budget, amount: int, gate: asyncio.Event, order: list[int]) -> None:
    async with budget.reserve(amount):
        order.append(amount)
        await gate.wait()


async def test_a_reservation_that_does_not_fit_waits():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(hold(budget, 4, gate, order)) for _ in range(7)]
    await settle()
    assert budget.in_use == 8

    gate.set()
    await asyncio.gather(*tasks)

    assert len(order) == 7
    assert budget.peak == 8
    assert budget.in_use == 0


async def test_a_large_reservation_is_not_overtaken_forever_by_small_ones():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(hold(budget, n, gate, order)) for n in (4, 9, 1, 1)]
    await settle()
    assert order == [4]

    gate.set()
    await asyncio.gather(*tasks)

    assert order == [4, 9, 1, 1]


async def test_a_request_that_waits_in_vain_gets_a_retry_after():
    budget = Budget("bytes", 10, 0.01)
    async with budget.reserve(10):
        with pytest.raises(OverloadedError, match="bytes in flight") as raised:
            async with budget.reserve(1):
                pass

    assert raised.value.retry_after == 0.01
    assert budget.in_use == 0
    async with budget.reserve(10):
        assert budget.in_use == 10


async def test_a_waiter_that_gives_up_at_the_head_of_the_queue_admits_the_next():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    tasks = [asyncio.create_task(hold(budget, n, gate, order)) for n in (5, 9, 5)]
    await settle()
    assert order == [5]

    tasks[1].cancel()
    await settle()

    assert order == [5, 5]
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert budget.in_use == 0


async def test_a_waiter_that_leaves_as_it_is_admitted_keeps_nothing():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    async with budget.reserve(10):
        waiting = asyncio.create_task(hold(budget, 10, gate, order))
        await settle()
    # Admitted by now, but not run yet.
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert order == []
    assert budget.in_use == 0


async def test_a_reservation_over_the_whole_budget_runs_alone():
    budget = Budget("pixels", 10, 60)
    async with budget.reserve(1000):
        assert budget.in_use == 10
    assert budget.in_use == 0


async def test_reserving_nothing_never_waits():
    budget = Budget("bytes", 10, 60)
    async with budget.reserve(10), budget.reserve(0):
        assert budget.in_use == 10


async def test_released_budget_admits_others():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    async with budget.reserve(7):
        one, two = await budget.hold(2), await budget.hold(1)
        newcomer = asyncio.create_task(hold(budget, 3, gate, order))
        await settle()
        one.release()
        await settle()
        assert order == []
        two.release()
        await settle()
        assert order == [3]
    assert budget.in_use == 3
    gate.set()
    await newcomer
    assert budget.in_use == 0


async def test_a_fetched_picture_reserves_what_has_arrived_of_it():
    room = Budget("bytes", 5_000_000, 60)
    held = []

    class Watched(FakeImageSource):
        async def fetch(self, image, arrival):
            held.append(room.in_use)
            return await super().fetch(image, arrival)

    known = Watched({"a": ASTRONAUT})
    sources = ImageSources(2_000_000, urls=known, objects=known, room=room)
    async with sources.fetched(UrlImage("a")):
        held.append(room.in_use)
    with pytest.raises(ImageSourceNotFoundError):
        async with sources.fetched(UrlImage("b")):
            pass
    # Part of the request's body, which is already counted.
    async with sources.fetched(ReceivedImage(ASTRONAUT)):
        held.append(room.in_use)

    assert held == [0, len(ASTRONAUT), 0, 0]
    assert room.in_use == 0


async def test_pictures_that_do_not_arrive_reserve_nothing_from_others():
    room, never = Budget("bytes", 5_000_000, 60, largest=2_000_000), asyncio.Event()

    class Slow(FakeImageSource):
        async def fetch(self, image, arrival):
            await arrival.grow_to(1)
            await never.wait()
            return await super().fetch(image, arrival)

    slow = Slow({"a": ASTRONAUT})
    sources = ImageSources(2_000_000, urls=slow, objects=slow, room=room)

    async def ask() -> None:
        async with sources.fetched(UrlImage("a")):
            pass

    asking = [asyncio.create_task(ask()) for _ in range(20)]
    await settle()

    assert room.in_use == 20
    assert room.open("polite", 2_000_000).grow_to(2_000_000)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert room.in_use == 2_000_000


def test_a_holder_that_expects_nothing_more_blocks_no_budget():
    budget = Budget("bytes", 96, 60, largest=32)
    short = arriving(budget, "a", 32, 8)
    later = arriving(budget, "b", 32, 8)
    short.complete()

    assert later.grow_to(32)
    assert budget.open("c").grow_to(56)


async def test_a_waiter_leaves_the_queue_at_its_deadline():
    budget, gate, order = Budget("bytes", 10, 60), asyncio.Event(), list[int]()
    async with budget.reserve(10):
        with pytest.raises(DeadlineExceededError):
            await budget.hold(9, Drain().before(0))
        next_one = asyncio.create_task(hold(budget, 3, gate, order))
    await settle()

    assert order == [3]
    gate.set()
    await next_one
    assert budget.in_use == 0


async def test_a_request_that_need_not_wait_is_not_refused_as_late():
    budget = Budget("bytes", 10, 60)
    held = await budget.hold(10, Drain().before(0))
    held.release()

    assert budget.peak == 10


def arriving(budget: Budget, caller: str, expected: int, amount: int) -> Reservation:
    """Return a holder of ``amount`` arrived out of ``expected``."""
    held = budget.open(caller, expected)
    assert held.grow_to(amount)
    return held


def test_an_announced_length_reserves_nothing():
    budget = Budget("bytes", 96, 60, largest=32)
    for _ in range(3):
        arriving(budget, "a", 32, 1)

    assert budget.in_use == 3
    assert budget.open("b", 20).grow_to(20)


def test_a_caller_has_at_most_three_quarters_of_the_budget():
    budget = Budget("bytes", 96, 60, largest=32)
    for _ in range(2):
        arriving(budget, "a", 32, 32)
    greedy = arriving(budget, "a", 32, 8)

    assert not greedy.grow_to(9)
    assert arriving(budget, "b", 20, 20).amount == 20


async def test_holders_whose_data_arrives_in_turns_all_complete_whatever_their_number():
    budget = Budget("bytes", 40, 60, largest=32)
    done: list[int] = []

    async def arrive(number: int) -> None:
        held = budget.open(f"caller {number % 3}", 32)
        for amount in range(1, 33):
            if not held.grow_to(amount):
                await held.wait_for(amount)
            await asyncio.sleep(0)
        done.append(number)
        held.release()

    await asyncio.gather(*(arrive(number) for number in range(20)))

    assert sorted(done) == list(range(20))
    assert budget.peak <= 40
    assert budget.in_use == 0


@settings(max_examples=30, phases=(Phase.explicit, Phase.generate))
@given(
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=12),
    callers=st.integers(1, 4),
    limit=st.integers(32, 100),
    order=st.randoms(use_true_random=False),
)
async def test_no_order_of_arrival_deadlocks_holders(sizes, callers, limit, order):
    budget = Budget("bytes", limit, 60, largest=32)
    turns = [asyncio.Event() for _ in sizes]

    async def arrive(number: int, size: int) -> None:
        held = budget.open(f"caller {number % callers}", size)
        for amount in range(1, size + 1):
            await turns[number].wait()
            turns[number].clear()
            if not held.grow_to(amount):
                await held.wait_for(amount)
        held.release()

    tasks = [asyncio.create_task(arrive(*each)) for each in enumerate(sizes)]
    # Each step delivers one byte of a random holder.
    for _ in range(sum(sizes) * 20):
        order.choice(turns).set()
        await asyncio.sleep(0)
    for _ in range(sum(sizes) * 4):
        for turn in turns:
            turn.set()
        await asyncio.sleep(0)

    assert all(task.done() for task in tasks)
    assert budget.in_use == 0
    assert not budget._used
