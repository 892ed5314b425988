"""FairSlots: who gets a slot, who is refused, and that no slot is lost."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import OverloadedError
from app.services.concurrency.background import background
from app.services.model_stack.concurrency_limit import FairSlots


class Crowd:
    """Callers who hold slots until they are released."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.served: list[str] = []
        self.leaving: dict[str, asyncio.Event] = {}

    async def come(self, name: str, caller: str | None = None) -> "asyncio.Task[None]":
        self.leaving[name] = asyncio.Event()
        task = asyncio.create_task(self._hold(name, caller or name))
        await settled()
        return task

    async def leave(self, name: str) -> None:
        self.leaving[name].set()
        await settled()

    async def _hold(self, name: str, caller: str) -> None:
        await self.slots.take(caller)
        try:
            self.served.append(name)
            await self.leaving[name].wait()
        finally:
            self.slots.release()


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_second_caller_is_served_second_however_many_waiters_the_first_has():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=100, max_wait=60))
    await crowd.come("a0", "a")
    tasks = [await crowd.come(f"a{i}", "a") for i in range(1, 11)]
    tasks.append(await crowd.come("b1", "b"))

    await crowd.leave("a0")
    await crowd.leave("a1")

    assert crowd.served == ["a0", "a1", "b1"]
    for name in list(crowd.leaving):
        await crowd.leave(name)
    await asyncio.gather(*tasks)
    assert crowd.served == ["a0", "a1", "b1", *(f"a{i}" for i in range(2, 11))]
    assert (crowd.slots.taken, crowd.slots.waiting) == (0, 0)


async def test_a_full_queue_refuses_the_newest_waiter_of_the_caller_with_most():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=3, max_wait=60))
    held = await crowd.come("a0", "a")
    waiting = [await crowd.come(f"a{i}", "a") for i in range(1, 4)]
    newcomer = await crowd.come("b1", "b")

    with pytest.raises(OverloadedError) as refused:
        await waiting[2]
    assert refused.value.retry_after
    assert crowd.slots.waiting == 3
    for name in ("a0", "a1", "b1", "a2"):
        await crowd.leave(name)
    await asyncio.gather(held, newcomer, *waiting[:2])
    assert crowd.served == ["a0", "a1", "b1", "a2"]


async def test_a_caller_who_fills_the_queue_is_refused_at_once():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=2, max_wait=60))
    tasks = [await crowd.come(f"a{i}", "a") for i in range(3)]

    refused = await crowd.come("a3", "a")

    with pytest.raises(OverloadedError):
        await refused
    for name in list(crowd.leaving):
        await crowd.leave(name)
    await asyncio.gather(*tasks)


async def test_a_queue_that_does_not_move_is_left_after_the_maximum_wait():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=5, max_wait=0.005))
    held = await crowd.come("a")
    late = await crowd.come("b")

    with pytest.raises(OverloadedError):
        await late
    assert crowd.slots.waiting == 0
    await crowd.leave("a")
    await held
    assert crowd.slots.taken == 0


async def test_a_waiter_that_leaves_the_queue_is_skipped():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=5, max_wait=60))
    held = await crowd.come("a")
    gone = await crowd.come("b")
    next_one = await crowd.come("c")

    gone.cancel()
    await settled()
    await crowd.leave("a")

    assert crowd.served == ["a", "c"]
    await crowd.leave("c")
    await asyncio.gather(held, next_one)
    assert (crowd.slots.taken, crowd.slots.waiting) == (0, 0)


async def test_a_slot_granted_at_the_moment_of_cancellation_goes_to_the_next():
    crowd = Crowd(FairSlots(capacity=1, max_waiting=5, max_wait=60))
    await crowd.come("a")
    gone = await crowd.come("b")
    next_one = await crowd.come("c")

    crowd.leaving["a"].set()
    await asyncio.sleep(0)  # a has left and passed its slot to b, which has not run yet
    gone.cancel()
    await settled()

    assert crowd.served == ["a", "c"]
    await crowd.leave("c")
    await next_one
    assert (crowd.slots.taken, crowd.slots.waiting) == (0, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel"]), st.integers(0, 7), st.booleans()),
    max_size=60,
)


@given(STEPS)
def test_no_slot_is_ever_lost_or_granted_twice(steps):
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, int, bool]]) -> None:
    slots = FairSlots(capacity=2, max_waiting=4, max_wait=60)
    crowd = Crowd(slots)
    tasks: list[asyncio.Task[None]] = []
    for number, (step, who, settle) in enumerate(steps):
        if step == "come" or not tasks:
            crowd.leaving[str(number)] = asyncio.Event()
            tasks.append(asyncio.create_task(crowd._hold(str(number), f"caller {who % 3}")))
        elif step == "leave":
            list(crowd.leaving.values())[who % len(tasks)].set()
        else:
            tasks[who % len(tasks)].cancel()
        await (settled() if settle else asyncio.sleep(0))
        assert 0 <= slots.taken <= slots.capacity
        assert slots.waiting <= slots.max_waiting
    await settled()
    # Nobody waits while a slot is free.
    assert slots.taken == slots.capacity or not slots.waiting
    for event in crowd.leaving.values():
        event.set()
    for task in tasks:
        with suppress(OverloadedError, asyncio.CancelledError):
            await task
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_slots_count_how_many_are_held_by_background_work():
    slots = FairSlots(capacity=2, max_waiting=4, max_wait=60)

    with background():
        async with slots.taking("ann"):
            assert (slots.taken, slots.background) == (1, 1)
            with pytest.raises(ValueError, match="no answer"):
                async with slots.taking("bob"):
                    raise ValueError("no answer")
            assert (slots.taken, slots.background) == (1, 1)
    async with slots.taking("ann"):
        assert (slots.taken, slots.background) == (1, 0)
    assert (slots.taken, slots.background) == (0, 0)
