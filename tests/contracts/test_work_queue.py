"""The contract of every WorkQueue: an SQLite file and a real PostgreSQL, encrypted or not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest

from app.adapters.encryption.plain import PlainData
from app.adapters.queue.postgres.queue import open_postgres_queue
from app.adapters.queue.sealed import SealedQueue
from app.adapters.queue.sqlite import SqliteQueue, open_sqlite_queue
from app.domain.errors import DataKeyError, WorkQueueError
from app.domain.ports import WorkQueue
from app.domain.work import (
    LEASE,
    Finished,
    NewWork,
    Postponed,
    WorkGroup,
    WorkKind,
    WorkState,
    WorkUsage,
)
from tests.support.servers.postgres import PostgresServer

ROWS = (WorkKind.BATCH_ROW,)
ANN = WorkGroup("batch_1", "ann", WorkKind.BATCH_ROW, "in_progress", 100.0, b"facts")


@dataclass
class Clock:
    """A queue's clock: a number, or a database's time, against which stored times are moved."""

    now: float = 1_000_000.0
    age: Callable[[float], object] | None = None

    def __call__(self) -> float:
        return self.now

    def elapse(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        if self.age is None:
            self.now += seconds
        else:
            self.age(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


in_postgres = pytest.mark.xdist_group("postgres")


@pytest.fixture(params=["sqlite", "sealed", pytest.param("postgres", marks=in_postgres)])
async def queue(request, tmp_path, clock) -> AsyncIterator[WorkQueue]:
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        clock.now, clock.age = time.time(), partial(older, server)
        async with open_postgres_queue(server.url) as postgres:
            yield postgres
        return
    async with open_sqlite_queue(tmp_path / "data" / "work.sqlite3") as sqlite:
        sqlite.clock = clock
        yield SealedQueue(sqlite, PlainData()) if request.param == "sealed" else sqlite


def older(server: PostgresServer, seconds: float) -> None:
    """Move all stored times ``seconds`` back, as the queue uses the database's time."""
    server.query(
        f"UPDATE llama_vision_pgqueuer SET created = created - interval '{seconds} s', "
        f"heartbeat = heartbeat - interval '{seconds} s', "
        f"execute_after = execute_after - interval '{seconds} s'; "
        f"UPDATE llama_vision_work SET created_at = created_at - {seconds}; "
        f"UPDATE llama_vision_work_group SET expires_at = expires_at - {seconds}"
    )


def items(count: int, start: int = 0) -> list[NewWork]:
    return [NewWork(i, b"row %d" % i) for i in range(start, start + count)]


async def test_an_empty_queue_creates_no_file_and_has_no_work(tmp_path):
    async with open_sqlite_queue(tmp_path / "work.sqlite3") as queue:
        assert await queue.lease("w", ROWS, 5) == ()
        assert await queue.group("ann", "batch_1") is None
        assert await queue.depths() == {}
        assert await queue.expire() == 0

    assert list(tmp_path.iterdir()) == []


async def test_work_is_leased_once_and_its_result_is_stored(queue):
    await queue.open(ANN, items(3))

    leased = await queue.lease("w1", ROWS, 2)
    rest = await queue.lease("w2", ROWS, 5)
    counted = await queue.finish(
        [Finished(leased[0], True, b"yes", WorkUsage(5, 7, 0.5)), Finished(rest[0], False, b"no")]
    )

    assert [item.position for item in leased] == [0, 1]
    assert [item.payload for item in rest] == [b"row 2"]
    assert counted == 2
    results = await queue.results("ann", "batch_1", -1, 10)
    assert [(r.position, r.state, r.result) for r in results] == [
        (0, WorkState.SUCCEEDED, b"yes"),
        (1, WorkState.LEASED, None),
        (2, WorkState.FAILED, b"no"),
    ]
    counts = await queue.counts("batch_1")
    assert (counts.total, counts.open) == (3, 1)
    assert counts.usage == WorkUsage(5, 7, 0.5)


async def test_another_callers_groups_and_results_are_invisible(queue):
    await queue.open(ANN, items(1))

    assert await queue.group("bob", "batch_1") is None
    assert await queue.results("bob", "batch_1", -1, 10) == ()
    assert await queue.cancel("bob", "batch_1", leased=True) == 0
    await queue.forget("bob", "batch_1")
    assert await queue.group("ann", "batch_1") == ANN


async def test_work_added_twice_is_stored_once(queue):
    await queue.open(ANN, items(2))
    await queue.put(ANN, items(3))

    assert (await queue.counts("batch_1")).total == 3


async def test_callers_take_turns_and_one_callers_groups_run_in_order(queue):
    await queue.open(ANN, items(4))
    await queue.open(replace(ANN, id="batch_2"), items(2))
    await queue.open(replace(ANN, id="batch_3", owner="bob"), items(2))

    leased = [item for _ in range(8) for item in await queue.lease("w", ROWS, 1)]

    assert [item.owner for item in leased[:4]] in (
        ["ann", "bob", "ann", "bob"],
        ["bob", "ann", "bob", "ann"],
    )
    of_ann = [(item.group, item.position) for item in leased if item.owner == "ann"]
    assert of_ann == [("batch_1", i) for i in range(4)] + [("batch_2", i) for i in range(2)]


async def test_excluded_callers_are_not_leased(queue):
    await queue.open(ANN, items(1))
    await queue.open(replace(ANN, id="batch_3", owner="bob"), items(1))

    assert [i.owner for i in await queue.lease("w", ROWS, 9, without={"ann"})] == ["bob"]


async def test_an_expired_lease_goes_to_another_worker(queue, clock):
    await queue.open(ANN, items(1))
    await queue.lease("dead", ROWS, 1)
    clock.elapse(LEASE - 1)
    assert await queue.lease("w", ROWS, 1) == ()

    clock.elapse(2)
    (item,) = await queue.lease("w", ROWS, 1)

    assert item.attempts == 1
    assert await queue.held("dead") == frozenset()
    assert await queue.held("w") == {item.id}


async def test_a_renewed_lease_does_not_expire(queue, clock):
    await queue.open(ANN, items(1))
    (item,) = await queue.lease("alive", ROWS, 1)
    clock.elapse(LEASE - 1)
    assert await queue.renew("alive") == {item.id}
    clock.elapse(LEASE - 1)

    assert await queue.lease("w", ROWS, 1) == ()


async def test_a_worker_never_leases_its_own_work_twice(queue, clock):
    await queue.open(ANN, items(1))
    await queue.lease("w", ROWS, 1)
    clock.elapse(10 * LEASE)

    assert await queue.lease("w", ROWS, 1) == ()


async def test_a_clock_set_back_does_not_prolong_a_lease(queue, clock):
    await queue.open(ANN, items(1))
    await queue.lease("dead", ROWS, 1)
    clock.elapse(-24 * 3600)

    assert len(await queue.lease("w", ROWS, 1)) == 1


async def test_a_clock_set_back_does_not_delay_postponed_work_for_long(queue, clock):
    await queue.open(ANN, items(1))
    await queue.postpone([Postponed(item, 30) for item in await queue.lease("w", ROWS, 1)])
    clock.elapse(-24 * 3600)

    assert len(await queue.lease("w", ROWS, 1)) == 1


async def test_the_first_of_two_results_is_kept_and_counted(queue, clock):
    await queue.open(ANN, items(1))
    (slow,) = await queue.lease("slow", ROWS, 1)
    clock.elapse(LEASE + 1)
    (again,) = await queue.lease("quick", ROWS, 1)

    assert await queue.finish([Finished(again, True, b"first", WorkUsage(1, 1, 1.0))]) == 1
    assert await queue.finish([Finished(slow, True, b"second", WorkUsage(1, 1, 1.0))]) == 0

    (result,) = await queue.results("ann", "batch_1", -1, 10)
    assert result.result == b"first"
    assert (await queue.counts("batch_1")).usage.cost_usd == 1.0


async def test_a_result_counts_although_its_lease_expired(queue, clock):
    await queue.open(ANN, items(1))
    (item,) = await queue.lease("slow", ROWS, 1)
    clock.elapse(LEASE + 1)
    await queue.lease("quick", ROWS, 1)

    assert await queue.finish([Finished(item, True, b"paid for")]) == 1
    assert await queue.held("quick") == frozenset()


async def test_postponed_work_returns_later_and_only_attempts_are_counted(queue, clock):
    await queue.open(ANN, items(2))
    first, second = await queue.lease("w", ROWS, 2)
    await queue.postpone([Postponed(first, 5), Postponed(second, 5, counted=False)])
    assert await queue.lease("w", ROWS, 2) == ()

    clock.elapse(6)

    assert [item.attempts for item in await queue.lease("w", ROWS, 2)] == [1, 0]


async def test_cancelling_removes_waiting_work_and_leaves_leased_work(queue):
    await queue.open(ANN, items(3))
    (item,) = await queue.lease("w", ROWS, 1)

    assert await queue.cancel("ann", "batch_1", leased=False) == 2
    assert await queue.finish([Finished(item, True, b"done")]) == 1
    assert (await queue.counts("batch_1")).open == 0


async def test_cancelling_removes_leased_work_on_request(queue):
    await queue.open(ANN, items(1))
    (item,) = await queue.lease("w", ROWS, 1)

    assert await queue.cancel("ann", "batch_1", leased=True) == 1
    assert await queue.held("w") == frozenset()
    assert await queue.finish([Finished(item, True, b"late")]) == 0


async def test_the_second_of_two_changes_to_one_version_is_refused(queue):
    await queue.open(ANN)
    group = await queue.group("ann", "batch_1")

    assert await queue.change(replace(group, status="finalizing", body=b"more"))
    assert not await queue.change(replace(group, status="cancelling"))
    kept = await queue.group("ann", "batch_1")
    assert (kept.status, kept.body, kept.version) == ("finalizing", b"more", 1)


async def test_groups_are_listed_newest_first_in_pages(queue):
    for n in range(5):
        await queue.open(replace(ANN, id=f"batch_{n}"))
    await queue.open(replace(ANN, id="other", owner="bob"))

    page = await queue.groups("ann", WorkKind.BATCH_ROW, 2)
    following = await queue.groups("ann", WorkKind.BATCH_ROW, 9, page[-1].id)

    assert [g.id for g in page] == ["batch_4", "batch_3"]
    assert [g.id for g in following] == ["batch_2", "batch_1", "batch_0"]
    assert await queue.groups("ann", WorkKind.BATCH_ROW, 9, "unknown") == ()


async def test_ended_groups_are_deleted_after_their_retention(queue, clock):
    await queue.open(replace(ANN, active=False, expires_at=clock.now + 10), items(1))
    await queue.open(replace(ANN, id="batch_2", expires_at=clock.now + 10), items(1))
    assert await queue.expire() == 0

    clock.elapse(11)

    assert await queue.expire() == 1
    assert await queue.group("ann", "batch_1") is None
    assert [g.id for g in await queue.active(WorkKind.BATCH_ROW)] == ["batch_2"]


async def test_a_deleted_group_is_gone(queue):
    await queue.open(ANN, items(2))
    await queue.clear("batch_1")
    assert (await queue.counts("batch_1")).total == 0

    await queue.forget("ann", "batch_1")

    assert await queue.group("ann", "batch_1") is None


async def test_the_depths_count_waiting_work_and_its_age(queue, clock):
    await queue.open(ANN, items(2))
    clock.elapse(60)
    await queue.lease("w", ROWS, 1)

    depth = (await queue.depths())[WorkKind.BATCH_ROW]

    assert (depth.waiting, depth.leased) == (1, 1)
    assert depth.oldest == pytest.approx(clock.now - 60, abs=30)


async def test_stored_entries_do_not_count_as_waiting(queue):
    await queue.open(replace(ANN, id="job_1-events", kind=WorkKind.JOB_EVENT), items(2))
    await queue.put(replace(ANN, id="job_1-events", kind=WorkKind.JOB_EVENT), items(3))

    depth = (await queue.depths())[WorkKind.JOB_EVENT]

    assert (depth.waiting, depth.leased, depth.oldest) == (0, 0, None)
    kept = await queue.results("ann", "job_1-events", -1, 10)
    assert [(item.position, item.payload) for item in kept] == [
        (i, b"row %d" % i) for i in range(3)
    ]


async def test_two_workers_never_lease_the_same_item(tmp_path):
    async with (
        open_sqlite_queue(tmp_path / "w.sqlite3") as one,
        open_sqlite_queue(tmp_path / "w.sqlite3") as two,
    ):
        await one.open(ANN, items(60))

        async def drain(queue: SqliteQueue, name: str) -> list[int]:
            got: list[int] = []
            while leased := await queue.lease(name, ROWS, 3):
                got += [item.position for item in leased]
            return got

        first, second = await asyncio.gather(drain(one, "a"), drain(two, "b"))

    assert sorted(first + second) == list(range(60))


async def test_a_full_disk_is_reported_and_stored_work_stays(tmp_path):
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as queue:
        await queue.open(ANN, items(2))
        leased = await queue.lease("w", ROWS, 2)
        connection = queue._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(WorkQueueError):
            await queue.finish([Finished(leased[0], True, b"x" * 500_000)])

        assert (await queue.counts("batch_1")).open == 2
        connection.execute("PRAGMA max_page_count = 1000000")
        assert await queue.finish([Finished(leased[0], True, b"x" * 500_000)]) == 1


async def test_a_worker_that_lost_its_lease_cannot_postpone_the_item(queue, clock):
    await queue.open(ANN, items(1))
    (lost,) = await queue.lease("slow", ROWS, 1)
    clock.elapse(LEASE + 1)
    (item,) = await queue.lease("quick", ROWS, 1)

    await queue.postpone([Postponed(lost, 0)])

    assert await queue.held("quick") == {item.id}


class Erased(PlainData):
    """A cipher without one caller's key, which was erased."""

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        if owner == "ann":
            raise DataKeyError("the key is gone")
        return await super().decrypt(owner, ciphertext, purpose)


async def test_a_caller_whose_keys_were_erased_blocks_nobody(tmp_path):
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as sqlite:
        await sqlite.open(ANN, items(2))
        await sqlite.open(replace(ANN, id="batch_2", owner="bob"), items(1))
        queue = SealedQueue(sqlite, Erased())

        assert [group.owner for group in await queue.active(WorkKind.BATCH_ROW)] == ["bob"]
        assert [item.owner for item in await queue.lease("w", ROWS, 9)] == ["bob"]
        assert await queue.lease("w", ROWS, 9) == ()
        assert len(await queue.held("w")) == 1
