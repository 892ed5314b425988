"""Threads shared fairly among callers; a thread is occupied until its work ends."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from app.services.concurrency.fair_threads import FairThreads
from app.telemetry import RequestRecord, recording


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    with closing(FairThreads("test")) as opened:
        yield opened


class Work:
    """Work of several callers, and the order in which it started."""

    def __init__(self, threads: FairThreads) -> None:
        self.threads = threads
        self.gate = threading.Event()
        self.begun: list[str] = []

    async def ask(self, caller: str) -> "asyncio.Task[str]":
        async def run() -> str:
            with recording(RequestRecord(share=caller)):
                return await self.threads.run(self._do, caller)

        task = asyncio.create_task(run())
        for _ in range(3):
            await asyncio.sleep(0)
        return task

    def _do(self, caller: str) -> str:
        self.begun.append(caller)
        assert self.gate.wait(30)
        return caller


async def test_callers_take_turns_however_much_work_each_has_queued(threads):
    work = Work(threads)
    tasks = [await work.ask(caller) for caller in "aaabc"]
    work.gate.set()

    assert await asyncio.gather(*tasks) == list("aaabc")
    assert work.begun == ["a", "a", "b", "c", "a"]


async def test_abandoned_work_occupies_its_thread_until_it_ends(threads):
    work = Work(threads)
    leaver, stayer = await work.ask("a"), await work.ask("b")
    leaver.cancel()
    with suppress(asyncio.CancelledError):
        await leaver
    begun = list(work.begun)
    work.gate.set()

    assert await stayer == "b"
    assert begun == ["a"]
    assert await (await work.ask("c")) == "c"


async def test_a_waiter_that_leaves_the_queue_is_skipped(threads):
    work = Work(threads)
    first, leaver, last = [await work.ask(caller) for caller in "abc"]
    leaver.cancel()
    work.gate.set()

    assert list(await asyncio.gather(first, last)) == ["a", "c"]
    assert work.begun == ["a", "c"]


async def test_a_failure_is_raised_and_frees_the_thread(threads):
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await threads.run(fail)

    assert await threads.run(lambda: 1) == 1
