"""The admission queue: one request per turn of the loop, callers in turn, bounded."""

import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import DeadlineExceededError, OverloadedError, ShuttingDownError
from app.services.concurrency.admission_queue import AdmissionQueue
from app.services.concurrency.deadline import Drain, Wait


class Crowd:
    """Requests that stay admitted until they are released."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self.queue = queue
        self.drain = Drain()
        self.inside: list[str] = []
        self.leaving = asyncio.Event()

    def come(
        self, name: str, caller: str | None = None, deadline: float = math.inf
    ) -> "asyncio.Task[None]":
        within = self.drain.before(deadline)
        return asyncio.create_task(self._stay(name, caller or name, within))

    async def _stay(self, name: str, caller: str, within: Wait) -> None:
        await self.queue.enter(caller, within)
        try:
            self.inside.append(name)
            await self.leaving.wait()
        finally:
            self.queue.leave(caller)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_at_most_one_request_is_admitted_in_each_turn_of_the_event_loop():
    crowd = Crowd(AdmissionQueue(100, 1))
    tasks = [crowd.come(f"{i}") for i in range(20)]
    inside = []
    for _ in range(30):
        await asyncio.sleep(0)
        inside.append(len(crowd.inside))

    assert inside[-1] == 20
    assert all(after - before <= 1 for before, after in itertools.pairwise(inside))
    crowd.leaving.set()
    await asyncio.gather(*tasks)
    assert crowd.queue.total == 0


async def test_callers_take_turns_at_admission():
    crowd = Crowd(AdmissionQueue(100, 1))
    tasks = [crowd.come(f"a{i}", "a") for i in range(10)] + [crowd.come("b", "b")]
    await turns(30)

    assert crowd.inside.index("b") <= 2
    crowd.leaving.set()
    await asyncio.gather(*tasks)


async def test_over_its_capacity_it_refuses_at_once_with_retry_after():
    crowd = Crowd(AdmissionQueue(3, retry_after=7))
    tasks = [crowd.come(f"{i}", "a") for i in range(3)]
    await turns(10)

    with pytest.raises(OverloadedError) as refused:
        await crowd.come("late", "a")
    assert refused.value.retry_after == 7
    crowd.leaving.set()
    await asyncio.gather(*tasks)


async def test_one_callers_crowd_does_not_keep_out_another_caller():
    crowd = Crowd(AdmissionQueue(4, 1))
    tasks = [crowd.come(f"a{i}", "a") for i in range(4)]
    await turns(10)
    tasks += [crowd.come(f"b{i}", "b") for i in range(2)]
    await turns(10)

    assert crowd.inside[-2:] == ["b0", "b1"]
    with pytest.raises(OverloadedError):
        await crowd.come("b2", "b")
    crowd.leaving.set()
    await asyncio.gather(*tasks)


async def test_many_callers_are_admitted_up_to_twice_the_capacity():
    crowd = Crowd(AdmissionQueue(4, 1))
    tasks = [crowd.come(f"{i}") for i in range(30)]
    await turns(60)

    assert crowd.queue.total <= 8
    crowd.leaving.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(crowd.inside) == outcomes.count(None)


async def test_a_queue_longer_than_the_maximum_wait_is_not_joined():
    # At a millisecond each, the fourth would wait too long: one is admitted, two wait.
    crowd = Crowd(AdmissionQueue(100, 1, patience=0.0015))
    tasks = [crowd.come(f"{i}", "a") for i in range(4)]
    crowd.leaving.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [OverloadedError]


async def test_a_client_that_leaves_the_queue_delays_nobody():
    crowd = Crowd(AdmissionQueue(100, 1))
    tasks = [crowd.come(f"{i}", "a") for i in range(4)]
    await turns(1)
    tasks[1].cancel()
    tasks[2].cancel()
    await turns(20)

    assert crowd.inside == ["0", "3"]
    crowd.leaving.set()
    await asyncio.gather(tasks[0], tasks[3])
    assert crowd.queue.total == 0


async def test_a_request_queued_past_its_deadline_is_refused_and_delays_nobody():
    crowd = Crowd(AdmissionQueue(100, 1))
    tasks = [crowd.come(f"{i}", "a") for i in range(4)]
    late = crowd.come("late", "a", deadline=0)
    tasks.append(crowd.come("4", "a"))

    with pytest.raises(DeadlineExceededError):
        await late
    await turns(20)
    assert crowd.inside == ["0", "1", "2", "3", "4"]
    crowd.leaving.set()
    await asyncio.gather(*tasks)
    assert crowd.queue.total == 0


async def test_queued_requests_are_refused_when_the_service_closes():
    crowd = Crowd(AdmissionQueue(100, 1))
    tasks = [crowd.come(f"{i}", "a") for i in range(6)]
    await turns(2)
    crowd.drain.close()
    crowd.leaving.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert outcomes[0] is None
    assert isinstance(outcomes[-1], ShuttingDownError)
    assert crowd.queue.total == 0


@given(st.lists(st.tuples(st.sampled_from(["come", "cancel"]), st.integers(0, 9)), max_size=60))
def test_admission_is_counted_correctly_for_any_arrivals_and_departures(steps):
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd(AdmissionQueue(5, 1))
    tasks: list[asyncio.Task[None]] = []
    for number, (step, who) in enumerate(steps):
        if step == "come" or not tasks:
            tasks.append(crowd.come(str(number), f"caller {who % 3}"))
        else:
            tasks[who % len(tasks)].cancel()
        if who % 2:
            await asyncio.sleep(0)
        assert 0 <= crowd.queue.total <= 10
    crowd.leaving.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert crowd.queue.total == 0
    # It is as open as before.
    await crowd.come("last")
