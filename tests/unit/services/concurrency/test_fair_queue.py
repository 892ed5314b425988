"""The fair queue: callers take turns."""

import asyncio
from contextlib import nullcontext

import pytest

from app.services.concurrency.fair_queue import FairQueue


class Line:
    """A queue, with a record of who was admitted and how many turns were passed back."""

    def __init__(self) -> None:
        self.queue = FairQueue(self._returned)
        self.admitted: list[str] = []
        self.returned = 0

    def _returned(self) -> None:
        self.returned += 1

    async def join(self, caller: str) -> "asyncio.Task[None]":
        async def wait() -> None:
            await self.queue.wait(caller, nullcontext())
            self.admitted.append(caller)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        return task


async def test_callers_take_turns_however_many_waiters_each_has():
    line = Line()
    tasks = [await line.join(caller) for caller in "aaabc"]
    for _ in tasks:
        assert line.queue.admit()
        await asyncio.sleep(0)

    assert line.admitted == ["a", "b", "c", "a", "a"]
    await asyncio.gather(*tasks)


async def test_nobody_is_admitted_from_an_empty_queue():
    assert not Line().queue.admit()


async def test_a_waiter_that_leaves_the_queue_is_not_admitted():
    line = Line()
    first, second = await line.join("a"), await line.join("a")
    first.cancel()
    await asyncio.sleep(0)
    assert line.queue.length == 1
    assert line.queue.admit()
    await second

    assert line.admitted == ["a"]
    assert line.returned == 0


async def test_a_waiter_that_leaves_as_it_is_admitted_passes_the_turn_on():
    line = Line()
    task = await line.join("a")
    assert line.queue.admit()
    task.cancel()
    await asyncio.wait([task])

    assert line.returned == 1


async def test_the_newest_waiter_of_the_caller_with_most_gives_way_to_one_with_fewer():
    line = Line()
    tasks = [await line.join("a") for _ in range(3)]

    assert not line.queue.evict("a", ValueError("full"))
    assert line.queue.evict("b", ValueError("full"))
    with pytest.raises(ValueError, match="full"):
        await tasks[2]
    assert line.queue.length == 2
    for task in tasks[:2]:
        task.cancel()
    await asyncio.wait(tasks)
