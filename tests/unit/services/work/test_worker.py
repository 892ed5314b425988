"""The worker: what it leases, stores and returns."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.errors import WorkQueueError
from app.domain.work import Finished, Leased, NewWork, Postponed, WorkGroup, WorkKind, WorkState
from app.services.concurrency.deadline import Drain
from app.services.work import worker as worker_module
from app.services.work.worker import MOST_ATTEMPTS, Worker
from tests.support.fakes.own_class import with_own_class

GROUP = WorkGroup("job_1", "ann", WorkKind.JOB, "queued", 0)


@dataclass
class Handler:
    do: Callable[[Leased], object]
    at_once: int = 2
    interruptible: bool = False
    kind: WorkKind = WorkKind.JOB
    most: int = 0
    """The largest number of items that ran together."""
    running: int = 0
    rested: Collection[str] = ()
    seconds: float = 0
    """Seconds from one item's start to the next."""
    tended: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def room(self, running: int) -> int:
        return self.at_once - running

    def gap(self) -> float:
        return self.seconds

    def resting(self) -> Collection[str]:
        return self.rested

    async def handle(self, work: Leased) -> Finished | Postponed:
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.set()
        try:
            outcome = self.do(work)
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
            assert isinstance(outcome, Finished | Postponed)
            return outcome
        finally:
            self.running -= 1

    def exhausted(self, work: Leased) -> Finished:
        return Finished(work, False, b"given up")

    async def tend(self, steps: asyncio.TaskGroup) -> None:
        self.tended += 1


@pytest.fixture
async def queue(tmp_path):
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as queue:
        yield with_own_class(queue)


def items(count: int) -> list[NewWork]:
    return [NewWork(i, b"%d" % i) for i in range(count)]


@asynccontextmanager
async def working(queue, handler):
    worker = Worker(queue, Drain(), poll=0.02)
    async with worker.running([handler]):
        yield worker


async def until_done(queue, group: str = "job_1") -> None:
    async with asyncio.timeout(20):
        while (await queue.counts(group)).open:  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.01)


async def test_every_item_is_done_once_within_the_concurrency_limit(queue):
    done: list[int] = []

    async def do(work: Leased) -> Finished:
        await asyncio.sleep(0.001)
        done.append(work.position)
        return Finished(work, True, work.payload)

    handler = Handler(do)
    await queue.open(GROUP, items(25))
    async with working(queue, handler):
        await until_done(queue)

    assert sorted(done) == list(range(25))
    assert handler.most == 2


async def test_items_whose_handler_requires_a_gap_do_not_start_together(queue):
    go_on = asyncio.Event()

    async def do(work: Leased) -> Finished:
        await go_on.wait()
        return Finished(work, True, b"")

    handler = Handler(do, seconds=3600)
    await queue.open(GROUP, items(2))
    async with working(queue, handler) as worker:
        await handler.began.wait()
        for _ in range(20):
            worker.wake()
            await asyncio.sleep(0)
        assert handler.running == 1
        go_on.set()

    async with working(queue, Handler(do, seconds=0.001)):
        await until_done(queue)


async def test_an_empty_queue_is_not_polled_after_each_item(queue, monkeypatch):
    looks: list[WorkKind] = []
    lease = type(queue).lease

    async def counted(self, worker, kinds, *rest):
        looks.extend(kinds)
        return await lease(self, worker, kinds, *rest)

    monkeypatch.setattr(type(queue), "lease", counted)
    await queue.open(GROUP, items(50))
    worker = Worker(queue, Drain(), poll=600)
    handlers = [
        Handler(lambda work: Finished(work, True, b"")),
        Handler(lambda work: Finished(work, True, b""), kind=WorkKind.WEBHOOK),
    ]
    async with worker.running(handlers):
        await until_done(queue)

    assert looks.count(WorkKind.WEBHOOK) == 1


async def test_more_items_are_leased_before_the_last_ready_one_starts(queue, monkeypatch):
    lease, leases, ends = type(queue).lease, [], asyncio.Semaphore(2)
    go_on = asyncio.Event()

    async def first_two(self, *arguments):
        leases.append(arguments)
        if len(leases) > 2:
            await go_on.wait()
        return await lease(self, *arguments)

    monkeypatch.setattr(type(queue), "lease", first_two)
    monkeypatch.setattr(worker_module, "AHEAD", 1000)
    monkeypatch.setattr(worker_module, "MOST_AHEAD", 1)
    begun: list[int] = []

    async def do(work: Leased) -> Finished:
        begun.append(work.position)
        await ends.acquire()
        return Finished(work, True, b"")

    await queue.open(GROUP, items(25))
    async with working(queue, Handler(do)), asyncio.timeout(20):
        for ended in range(3):
            while len(begun) < 4 + ended:  # noqa: ASYNC110 - another task's work
                await asyncio.sleep(0.01)
            ends.release()

        # Two ended soon. Then four were leased and have started, during another lease.
        assert (begun, len(leases)) == ([0, 1, 2, 3, 4, 5], 3)
        go_on.set()


async def test_a_slow_worker_leaves_items_to_others(queue):
    async def never(work: Leased) -> Finished:
        await asyncio.Event().wait()
        return Finished(work, True, b"slow")

    def soon(work: Leased) -> Finished:
        return Finished(work, True, b"quick")

    await queue.open(GROUP, items(8))
    slow, quick = Handler(never), Handler(soon)
    async with working(queue, slow), asyncio.timeout(20):
        await slow.began.wait()
        async with working(queue, quick):
            while (await queue.counts("job_1")).in_state(WorkState.SUCCEEDED) < 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [((), 8), ((0.01, 0.02), 40), ((0.125,), 24), ((1.0,), 10), ((40.0, 0.01), 8)],
)
def test_the_slower_the_items_the_fewer_are_leased_ahead(seconds, wanted):
    kind = worker_module._Kind(Handler(lambda work: work, at_once=8))
    for took in seconds:
        kind.took(took)
    kind.look(0)
    assert kind.wanted == wanted


async def test_a_group_is_checked_after_its_last_result_and_not_after_each(queue):
    go_on = asyncio.Event()

    async def do(work: Leased) -> Finished:
        if work.position:
            await go_on.wait()
        return Finished(work, True, b"")

    await queue.open(GROUP, items(2))
    worker = Worker(queue, Drain(), poll=600)
    one = Handler(do)
    other = Handler(do, kind=WorkKind.WEBHOOK)
    async with worker.running([one, other]), asyncio.timeout(20):
        while not (await queue.counts("job_1")).in_state(WorkState.SUCCEEDED):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert (one.tended, other.tended) == (1, 1)
        go_on.set()
        while one.tended == 1:  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.01)

    assert other.tended == 1


async def test_a_postponed_item_is_done_later(queue):
    seen: list[int] = []

    def do(work: Leased) -> Finished | Postponed:
        seen.append(work.attempts)
        return Postponed(work, 0) if work.attempts < 2 else Finished(work, True, b"")

    await queue.open(GROUP, items(1))
    async with working(queue, Handler(do)):
        await until_done(queue)

    assert seen == [0, 1, 2]


async def test_an_item_with_an_internal_error_is_retried_and_finally_given_up(queue, monkeypatch):
    monkeypatch.setattr(worker_module, "MOST_ATTEMPTS", 0)

    def do(work: Leased) -> Finished:
        raise ValueError

    await queue.open(GROUP, items(1))
    async with working(queue, Handler(do)):
        await until_done(queue)

    assert MOST_ATTEMPTS == 30
    (result,) = await queue.results("ann", "job_1", -1, 1)
    assert (result.state, result.result) == (WorkState.FAILED, b"given up")


async def test_a_cancelled_item_is_stopped_if_its_kind_allows_it(queue):
    stopped = asyncio.Event()

    async def do(work: Leased) -> Finished:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return Finished(work, True, b"")

    handler = Handler(do, interruptible=True)
    await queue.open(GROUP, items(1))
    async with working(queue, handler):
        await handler.began.wait()
        await queue.cancel("ann", "job_1", leased=True)
        async with asyncio.timeout(10):
            await stopped.wait()

    (result,) = await queue.results("ann", "job_1", -1, 1)
    assert result.state is WorkState.CANCELLED


async def test_items_in_progress_at_shutdown_are_returned_at_once(queue):
    async def do(work: Leased) -> Finished:
        await asyncio.sleep(60)
        return Finished(work, True, b"")

    handler = Handler(do)
    await queue.open(GROUP, items(5))
    async with working(queue, handler):
        await handler.began.wait()

    leased = await queue.lease("next", (WorkKind.JOB,), 9)
    assert [(item.position, item.attempts) for item in leased] == [(i, 0) for i in range(5)]


async def test_items_that_are_being_leased_at_shutdown_are_returned_at_once(queue, monkeypatch):
    committed = asyncio.Event()
    lease = type(queue).lease

    async def late(self, *arguments):
        leased = await lease(self, *arguments)
        committed.set()
        # The worker is stopped before it knows what it has leased.
        await asyncio.sleep(0.01)
        return leased

    monkeypatch.setattr(type(queue), "lease", late)
    await queue.open(GROUP, items(2))
    async with working(queue, Handler(lambda work: Finished(work, True, b""))):
        await committed.wait()

    assert len(await lease(queue, "another", (WorkKind.JOB,), 2)) == 2


async def test_a_queue_that_never_answers_does_not_prevent_the_shutdown(queue, monkeypatch):
    asked = asyncio.Event()

    async def silent(self, *_):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(type(queue), "lease", silent)
    monkeypatch.setattr(worker_module, "_LAST_LEASE", 0.01)
    async with asyncio.timeout(20):
        async with working(queue, Handler(lambda work: Finished(work, True, b""))):
            await asked.wait()

    assert asked.is_set()


async def test_a_draining_service_leases_no_more(queue):
    handler = Handler(lambda work: Finished(work, True, b""))
    async with working(queue, handler) as worker:
        worker.drain.begin()
        await queue.open(GROUP, items(1))
        worker.wake()
        await asyncio.sleep(0.1)

    assert not handler.began.is_set()


async def test_excluded_callers_are_left_alone(queue):
    handler = Handler(lambda work: Finished(work, True, b""), rested={"ann"})
    await queue.open(GROUP, items(1))
    await queue.open(WorkGroup("job_2", "bob", WorkKind.JOB, "queued", 0), items(1))
    async with working(queue, handler):
        await until_done(queue, "job_2")

    assert (await queue.counts("job_1")).open == 1


@dataclass
class Failing:
    """A queue whose disk is temporarily full."""

    inner: Any
    failures: int
    tried: int = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def finish(self, finished):
        self.tried += 1
        if self.tried <= self.failures:
            raise WorkQueueError("the disk is full")
        return await self.inner.finish(finished)


async def test_results_that_cannot_be_stored_wait_until_they_can(queue, monkeypatch):
    monkeypatch.setattr(worker_module, "_AGAIN", (0.01, 0.01))
    begun: list[int] = []

    def do(work: Leased) -> Finished:
        begun.append(work.position)
        return Finished(work, True, b"paid")

    failing = Failing(queue, failures=5)
    await queue.open(GROUP, items(20))
    async with working(failing, Handler(do)):
        while failing.tried < 4:  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.005)
        assert len(begun) <= 4
        await until_done(queue)

    assert sorted(begun) == list(range(20))
