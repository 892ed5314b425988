import asyncio

import pytest

from app.services.concurrency.background import background
from app.services.images.workers.queue import DecoderQueue


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Work:
    """Takes workers, and records who had one in order."""

    def __init__(self, workers: int) -> None:
        self.queue = DecoderQueue(workers)
        self.order: list[str] = []
        self.running: list[tuple[bool, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, caller: str, *, heavy: bool = False, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._run(caller, heavy)) for _ in range(count)]

    async def _run(self, caller: str, heavy: bool) -> None:
        await self.queue.take(caller, heavy=heavy)
        end = asyncio.Event()
        self.order.append(caller)
        self.running.append((heavy, end))
        await end.wait()
        self.queue.release(heavy=heavy)

    async def finish(self, count: int = 1) -> None:
        """End the oldest work, ``count`` times."""
        for _ in range(count):
            await settle()
            self.running.pop(0)[1].set()
            await settle()


async def test_callers_take_turns_however_much_work_each_has_queued():
    work = Work(1)
    work.send("greedy", count=50)
    await settle()
    work.send("polite", count=2)

    await work.finish(5)

    assert work.order == ["greedy", "greedy", "polite", "greedy", "polite", "greedy"]


async def test_work_that_nobody_waits_for_comes_last_of_its_kind():
    work = Work(1)
    with background():
        work.send("rows", count=3)
    await settle()
    work.send("person", count=2)

    await work.finish(4)

    assert work.order == ["rows", "person", "person", "rows", "rows"]


async def test_work_of_unknown_cost_leaves_a_worker_to_pictures():
    work = Work(3)
    work.send("documents", heavy=True, count=10)
    await settle()
    assert len(work.running) == 2

    work.send("picture")
    await settle()

    assert work.order == ["documents", "documents", "picture"]


async def test_documents_are_served_even_if_pictures_never_stop():
    work = Work(2)
    work.send("pictures", count=50)
    await settle()
    work.send("document", heavy=True)

    await work.finish(1)

    assert "document" in work.order


async def test_a_single_worker_takes_light_and_heavy_work_alternately():
    work = Work(1)
    work.send("documents", heavy=True, count=3)
    work.send("pictures", count=3)

    await work.finish(5)

    assert work.order == ["documents", "pictures"] * 3


@pytest.mark.parametrize("heavy", [False, True])
async def test_a_waiter_that_leaves_the_queue_takes_no_worker(heavy):
    work = Work(1)
    work.send("first", heavy=heavy)
    work.send("leaver", heavy=heavy)
    await settle()
    work.tasks[1].cancel()
    work.send("next", heavy=heavy)

    await work.finish(1)

    assert work.order == ["first", "next"]
    assert work.queue.waiting == 0


async def test_a_waiter_that_leaves_as_it_is_served_passes_the_worker_on():
    work = Work(1)
    work.send("first")
    work.send("leaver")
    work.send("next")
    await settle()

    work.queue.release(heavy=False)
    work.tasks[1].cancel()
    await settle()

    assert work.order == ["first", "next"]
