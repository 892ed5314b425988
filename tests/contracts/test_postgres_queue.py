"""What only the PostgreSQL queue does: several replicas, and data of earlier releases."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain

import pytest
from asyncpg.connection import LoggedQuery

from app.adapters.queue.postgres import items as items_of
from app.adapters.queue.postgres.queue import PostgresQueue, open_postgres_queue
from app.domain.work import Finished, NewWork, Postponed, WorkGroup, WorkKind, WorkState
from tests.support.servers.postgres import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")

ROWS = (WorkKind.BATCH_ROW,)
ANN = WorkGroup("batch_1", "ann", WorkKind.BATCH_ROW, "in_progress", 100.0, b"facts")
EARLIER = """
CREATE TABLE llama_vision_work_group (
    seq BIGSERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL, body BYTEA NOT NULL, active BOOLEAN NOT NULL,
    expires_at DOUBLE PRECISION, version BIGINT NOT NULL
);
CREATE TABLE llama_vision_work (
    id BIGSERIAL PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES llama_vision_work_group (seq) ON DELETE CASCADE,
    position BIGINT NOT NULL, payload BYTEA NOT NULL, state TEXT NOT NULL,
    not_before DOUBLE PRECISION NOT NULL DEFAULT 0, worker TEXT, lease_until DOUBLE PRECISION,
    attempts INTEGER NOT NULL DEFAULT 0, result BYTEA, prompt_tokens BIGINT,
    generation_tokens BIGINT, cost_usd DOUBLE PRECISION, unpriced BIGINT,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (seq, position)
);
CREATE INDEX llama_vision_work_waiting
    ON llama_vision_work (kind, owner, seq, position) WHERE state = 'waiting';
CREATE INDEX llama_vision_work_leased ON llama_vision_work (worker) WHERE state = 'leased';
INSERT INTO llama_vision_work_group VALUES
    (1, 'batch_1', 'ann', 'batch_row', 'in_progress', 100, 'facts', TRUE, NULL, 0),
    (2, 'job_1-events', 'ann', 'job_event', 'kept', 100, '', FALSE, NULL, 0);
INSERT INTO llama_vision_work
    (kind, owner, seq, position, payload, state, worker, attempts, result, created_at) VALUES
    ('batch_row', 'ann', 1, 0, 'row 0', 'succeeded', NULL, 0, 'yes', 100),
    ('batch_row', 'ann', 1, 1, 'row 1', 'leased', 'old', 0, NULL, 100),
    ('batch_row', 'ann', 1, 2, 'row 2', 'waiting', NULL, 3, NULL, 100),
    ('job_event', 'ann', 2, 0, 'event', 'waiting', NULL, 0, NULL, 100);
"""
"""The tables of a release before PgQueuer, with items in each state."""


def items(count: int) -> list[NewWork]:
    return [NewWork(i, b"row %d" % i) for i in range(count)]


async def states(queue: PostgresQueue) -> list[WorkState]:
    return [item.state for item in await queue.results("ann", "batch_1", -1, 10)]


async def test_replicas_that_start_together_create_the_tables_once(postgres):
    async def start(name: str) -> None:
        async with open_postgres_queue(postgres.url) as queue:
            await queue.open(replace(ANN, id=name), items(1))

    await asyncio.gather(*(start(f"batch_{n}") for n in range(4)))

    async with open_postgres_queue(postgres.url) as queue:
        assert len(await queue.lease("w", ROWS, 9)) == 4


async def test_tables_of_an_earlier_release_of_pgqueuer_are_migrated(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(1))
    index = "llama_vision_pgqueuer_ep_prio_id_idx"
    postgres.query(f"DROP INDEX {index}")

    async with open_postgres_queue(postgres.url) as queue:
        assert len(await queue.lease("w", ROWS, 9)) == 1

    assert postgres.query(f"SELECT to_regclass('{index}')") == index


async def test_replicas_share_the_work_without_duplicates(postgres):
    async with open_postgres_queue(postgres.url) as one, open_postgres_queue(postgres.url) as two:
        for owner in ("ann", "bob", "cid"):
            await one.open(replace(ANN, id=owner, owner=owner), items(40))

        async def drain(queue: PostgresQueue, name: str) -> list[int]:
            got: list[int] = []
            while leased := await queue.lease(name, ROWS, 7):
                got += [item.id for item in leased]
                await queue.finish([Finished(item, True, b"yes") for item in leased])
                await queue.renew(name)
            return got

        done = await asyncio.gather(*(drain(q, f"w{n}") for n, q in enumerate((one, two, one))))

        assert Counter(Counter(chain.from_iterable(done)).values()) == {1: 120}
        assert postgres.query("SELECT count(*) FROM llama_vision_pgqueuer") == "0"


async def test_a_batch_larger_than_one_chunk_is_cancelled_completely(postgres, monkeypatch):
    monkeypatch.setattr(items_of, "_CHUNK", 4)
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(20))
        leased = await queue.lease("w", ROWS, 6)

        assert await queue.cancel("ann", "batch_1", leased=False) == 14
        assert await queue.held("w") == {item.id for item in leased}
        assert await queue.cancel("ann", "batch_1", leased=True) == 6
        assert postgres.query("SELECT count(*) FROM llama_vision_pgqueuer") == "0"


async def test_one_large_lease_takes_items_from_all_callers_in_turn(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        for owner, count in (("ann", 9), ("bob", 2), ("cid", 9)):
            await queue.open(replace(ANN, id=owner, owner=owner), items(count))

        owners = [item.owner for item in await queue.lease("w", ROWS, 10)]

    assert owners == ["ann", "bob", "cid", "ann", "bob", "cid", "ann", "cid", "ann", "cid"]


async def test_reading_a_page_of_results_does_not_read_those_after_it(postgres):
    read = "SELECT coalesce(sum(idx_tup_fetch), 0) FROM pg_stat_user_tables WHERE relname = '{}'"
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(1000))
        leased = await queue.lease("w", ROWS, 1000)
        await queue.finish([Finished(item, True, b"yes" * 300) for item in leased])
    postgres.query("SELECT pg_stat_reset()")

    async with open_postgres_queue(postgres.url) as queue:
        assert len(await queue.results("ann", "batch_1", 0, 10)) == 10
        async with queue.pool.acquire() as connection:
            server = connection.get_server_pid()
    # The connection reports its statistics when it ends.
    postgres.wait_for_the_end_of(server)

    assert 10 <= int(postgres.query(read.format("llama_vision_work"))) < 100


async def test_work_queued_before_pgqueuer_was_introduced_is_migrated(postgres):
    postgres.query(EARLIER)

    async with open_postgres_queue(postgres.url) as queue:
        (item,) = await queue.lease("w", ROWS, 9)

        assert (item.position, item.payload, item.attempts) == (2, b"row 2", 3)
        assert await states(queue) == ["succeeded", "waiting", "leased"]
        (event,) = await queue.results("ann", "job_1-events", -1, 9)
        assert (event.state, event.payload) == (WorkState.WAITING, b"event")


async def test_migrated_items_in_progress_are_leased_again_after_the_lease_expires(postgres):
    postgres.query(EARLIER)

    async with open_postgres_queue(postgres.url) as queue:
        await queue.lease("w", ROWS, 9)
        later(postgres, 31)

        assert [item.position for item in await queue.lease("w", ROWS, 9)] == [1]


async def test_a_result_of_an_earlier_release_during_migration_counts_and_is_not_repeated(postgres):
    postgres.query(EARLIER)

    async with open_postgres_queue(postgres.url) as queue:
        await queue.lease("w", ROWS, 9)
        # As the earlier release stores a result.
        postgres.query(
            "UPDATE llama_vision_work SET state = 'succeeded', result = 'paid for', worker = NULL "
            "WHERE position = 1 AND state IN ('waiting', 'leased')"
        )
        later(postgres, 31)

        assert await queue.lease("w", ROWS, 9) == ()
        assert [r.result for r in await queue.results("ann", "batch_1", 0, 1)] == [b"paid for"]
        assert (await queue.depths())[WorkKind.BATCH_ROW].waiting == 0


async def test_items_still_queued_by_an_earlier_release_are_migrated_too(postgres):
    postgres.query(EARLIER)

    async with open_postgres_queue(postgres.url) as queue:
        await queue.lease("w", ROWS, 9)
        postgres.query(
            "INSERT INTO llama_vision_work (kind, owner, seq, position, payload, state, created_at)"
            " VALUES ('batch_row', 'ann', 1, 3, 'row 3', 'waiting', 100)"
        )
        await queue.expire()

        assert [item.position for item in await queue.lease("w", ROWS, 9)] == [3]


async def test_a_clock_set_back_does_not_strand_the_items_of_a_living_worker(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(1))
        await queue.lease("w", ROWS, 1)
        later(postgres, -24 * 3600)
        await queue.renew("w")
        later(postgres, 31)

        assert [item.attempts for item in await queue.lease("other", ROWS, 1)] == [1]


async def test_a_lease_whose_reply_was_lost_expires_although_its_worker_lives(postgres):
    async with open_postgres_queue(postgres.url) as queue, open_postgres_queue(postgres.url) as cut:
        await queue.open(ANN, items(3))
        (doing,) = await queue.lease("w", ROWS, 1)
        # As if the connection broke after the commit: the worker does not learn of the lease.
        await cut.lease("w", ROWS, 1)
        later(postgres, 20)
        assert await queue.renew("w") == {doing.id}
        later(postgres, 20)

        again = await queue.lease("w", ROWS, 9)

        assert [(item.position, item.attempts) for item in again] == [(1, 1), (2, 0)]


async def test_items_of_a_later_release_are_left_alone_and_block_nothing(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(2))
        postgres.query(
            "UPDATE llama_vision_pgqueuer SET entrypoint = 'later_kind/ann' "
            "WHERE id = (SELECT min(id) FROM llama_vision_pgqueuer)"
        )

        assert [item.position for item in await queue.lease("w", ROWS, 9)] == [1]
        assert (await queue.depths())[WorkKind.BATCH_ROW].leased == 1


async def test_the_log_of_pgqueuer_does_not_grow(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(3))
        assert postgres.query("SELECT count(*) FROM llama_vision_pgqueuer_log") == "3"

        await queue.expire()

        assert postgres.query("SELECT count(*) FROM llama_vision_pgqueuer_log") == "0"


async def test_a_backup_reading_the_log_table_blocks_nothing(postgres):
    async with (
        open_postgres_queue(postgres.url) as queue,
        open_postgres_queue(postgres.url) as backup,
    ):
        await queue.open(ANN, items(3))
        async with backup.pool.acquire() as connection, connection.transaction():
            await connection.fetch("SELECT count(*) FROM llama_vision_pgqueuer_log")

            await queue.expire()

            assert len(await queue.lease("w", ROWS, 9)) == 3
        assert postgres.query("SELECT count(*) FROM llama_vision_pgqueuer_log") == "6"


async def test_pgqueuers_own_environment_variables_do_not_separate_replicas(postgres, monkeypatch):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(1))
    for name in ("PGQUEUER_PREFIX", "PGQUEUER_SCHEMA", "QUEUE_TABLE", "TRIGGER", "CHANNEL"):
        monkeypatch.setenv(name, "elsewhere")

    async with open_postgres_queue(postgres.url) as queue:
        assert len(await queue.lease("w", ROWS, 9)) == 1


async def test_a_role_without_create_rights_can_use_existing_tables(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(1))
    postgres.query(
        "DROP ROLE IF EXISTS worker; CREATE ROLE worker LOGIN PASSWORD 'hunter2';"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker;"
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker"
    )

    async with open_postgres_queue(postgres.url.replace("postgres:", "worker:", 1)) as queue:
        (item,) = await queue.lease("w", ROWS, 9)
        assert await queue.finish([Finished(item, True, b"yes")]) == 1
        assert await queue.expire() == 0


def later(server: PostgresServer, seconds: float) -> None:
    """Move the times of PgQueuer's jobs back."""
    server.query(
        f"UPDATE llama_vision_pgqueuer SET heartbeat = heartbeat - interval '{seconds} s', "
        f"execute_after = execute_after - interval '{seconds} s'"
    )


@asynccontextmanager
async def statements(queue: PostgresQueue) -> AsyncIterator[list[str]]:
    """Collect the statements that reach the server over the connection that is used next."""
    seen: list[str] = []

    def note(record: LoggedQuery) -> None:
        seen.append(" ".join(record.query.split()[:2]))

    async with queue.pool.acquire() as connection:
        connection.add_query_logger(note)
    yield seen
    async with queue.pool.acquire() as connection:
        connection.remove_query_logger(note)


async def test_the_round_trips_of_a_row_are_few(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(100))
        # At their first use on a connection, types are looked up as well.
        for first in (True, False):
            async with statements(queue) as of_leasing:
                leased = await queue.lease("a", ROWS, 50)
            async with statements(queue) as of_finishing:
                await queue.finish([Finished(item, True, b"yes") for item in leased[:20]])
            async with statements(queue) as of_returning:
                await queue.postpone([Postponed(item, 60.0) for item in leased[20:]])
            assert len(leased) == 50
            assert first or len(of_leasing) <= 5, of_leasing
            assert first or len(of_finishing) == 1, of_finishing
            assert first or len(of_returning) <= 5, of_returning


async def test_looking_for_work_in_an_empty_queue_takes_one_round_trip(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN)
        for look in (
            queue.lease("a", ROWS, 50),
            queue.active(WorkKind.BATCH_ROW),
            queue.has_open("batch_1"),
        ):
            async with statements(queue) as seen:
                await look
            assert len(seen) == 1, seen


async def test_two_workers_that_finish_the_same_items_store_each_once(postgres):
    async with open_postgres_queue(postgres.url) as queue:
        await queue.open(ANN, items(200))
        leased = await queue.lease("a", ROWS, 200)
        one = [Finished(item, True, b"one") for item in leased]
        other = [Finished(item, True, b"other") for item in reversed(leased)]
        stored = await asyncio.gather(queue.finish(one), queue.finish(other), queue.renew("a"))
        assert sorted(stored[:2]) == [0, 200]
        results = await queue.results("ann", "batch_1", -1, 200)
        assert len({item.result for item in results}) == 1
        assert not await queue.has_open("batch_1")
