"""Concurrent requests for the same work share one run."""

import asyncio
from contextlib import suppress

import pytest

from app.services.concurrency.single_flight import Flight, SingleFlight


class Work:
    def __init__(self, failing: bool = False) -> None:
        self.begun = self.cancelled = 0
        self.go = asyncio.Event()
        self.failing = failing

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing:
            raise ValueError("no")
        return self.begun


async def asked(flights: SingleFlight[str, int], work: Work, times: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(times)]
    await asyncio.sleep(0.01)
    return tasks


async def test_concurrent_requests_share_one_run_and_the_next_starts_another():
    flights, work = SingleFlight[str, int](), Work()
    tasks = await asked(flights, work, 5)
    work.go.set()

    assert await asyncio.gather(*tasks) == [1] * 5
    assert await flights.run("key", work) == 2


async def test_a_failure_is_shared_and_not_cached():
    flights, work = SingleFlight[str, int](), Work(failing=True)
    tasks = await asked(flights, work, 2)
    work.go.set()

    assert [type(e) for e in await asyncio.gather(*tasks, return_exceptions=True)] == [
        ValueError
    ] * 2
    with pytest.raises(ValueError, match="no"):
        await flights.run("key", work)
    assert work.begun == 2


async def test_the_work_continues_until_the_last_caller_leaves():
    flights, work = SingleFlight[str, int](), Work()
    first, second = await asked(flights, work, 2)
    first.cancel()
    await asyncio.sleep(0.01)
    assert work.cancelled == 0
    second.cancel()
    await asyncio.sleep(0.01)

    assert work.cancelled == 1


async def test_lasting_work_continues_without_callers_and_the_next_one_joins_it():
    flights, work = SingleFlight[str, int](lasting=True), Work()
    (only,) = await asked(flights, work, 1)
    only.cancel()
    (next_one,) = await asked(flights, work, 1)
    work.go.set()

    assert await next_one == 1
    assert work.cancelled == 0


async def test_work_in_progress_at_shutdown_is_awaited_or_cancelled():
    flights, work = SingleFlight[str, int](lasting=True), Work()
    tasks = await asked(flights, work, 1)
    asyncio.get_running_loop().call_soon(work.go.set)
    await flights.close()
    assert await tasks[0] == 1

    work.go.clear()
    tasks = await asked(flights, work, 1)
    await flights.close(cancel=True)
    assert work.cancelled == 1
    with suppress(asyncio.CancelledError):
        await tasks[0]


async def test_a_request_that_joins_a_flight_counts_as_waiting():
    work = Work()
    flight = Flight(work())
    joined = asyncio.create_task(flight.join())
    await asyncio.sleep(0)

    assert flight.waiting == 1
    work.go.set()
    await joined
    assert flight.waiting == 0
