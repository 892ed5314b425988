"""The contract of every UsageStore: in memory, a file, a real Redis and a real PostgreSQL."""

import asyncio
import os
import signal
import socket
import traceback
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
import redis
from structlog.testing import capture_logs

from app.adapters.stores.redis_client import open_redis
from app.adapters.stores.usage_memory import MemoryUsage
from app.adapters.stores.usage_postgres import TABLE, open_postgres
from app.adapters.stores.usage_redis import RedisUsage
from app.adapters.stores.usage_sqlite import open_sqlite_usage
from app.domain.errors import UsageStoreError
from app.domain.ports import UsageStore
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow
from app.services.usage.ledger import UsageLedger
from app.telemetry import RequestRecord
from app.telemetry.metrics import Metrics
from tests.support.servers.postgres import PASSWORD
from tests.support.servers.redis import redis_server

DAY = date(2026, 11, 23)
ONE = UsageCounts(1, 10, 20, 1, 4, 0.25, 0)
in_postgres = pytest.mark.xdist_group("postgres")


@pytest.fixture(params=["memory", "sqlite", "redis", pytest.param("postgres", marks=in_postgres)])
async def store(request, tmp_path) -> AsyncIterator[UsageStore]:
    match request.param:
        case "memory":
            yield MemoryUsage()
        case "sqlite":
            async with open_sqlite_usage(tmp_path / "u.sqlite3") as sqlite:
                yield sqlite
        case "postgres":
            async with open_postgres(request.getfixturevalue("postgres").url) as postgres:
                yield postgres
        case _:
            async with open_redis(request.getfixturevalue("redis_url")) as client:
                await client.flushdb()
                yield RedisUsage(client)


def row(
    caller: str = "ann", day: date = DAY, counts: UsageCounts = ONE, task: str = "ocr"
) -> UsageRow:
    return UsageRow(UsageKey(day, "us.meta:0", caller, task), counts)


def batch(*rows: UsageRow) -> UsageBatch:
    return UsageBatch(uuid.uuid4().hex, rows)


def asked(caller: str | None = None, days: int = 0) -> UsageQuery:
    return UsageQuery(DAY - timedelta(days=days), DAY, caller)


async def test_repeated_additions_are_summed(store):
    await store.add(batch(row()))
    await store.add(batch(row(), row("bob")))

    assert await store.read(asked()) == (row(counts=ONE + ONE), row("bob"))


async def test_one_callers_usage_can_be_read_alone(store):
    await store.add(batch(row("ann"), row("bob")))

    assert await store.read(asked("bob")) == (row("bob"),)
    assert await store.read(asked("eve")) == ()


async def test_only_the_days_asked_for_are_read_oldest_first(store):
    days = [DAY - timedelta(days=i) for i in range(-1, 3)]
    await store.add(batch(*(row(day=day) for day in days)))

    assert await store.read(asked(days=1)) == (row(day=days[2]), row(day=days[1]))


async def test_names_are_ordered_the_same_whatever_the_stores_locale(store):
    names = ["Zoe", "ann", "sub:a b", "sub:ab", "Émile"]
    await store.add(batch(*map(row, reversed(names))))

    assert await store.read(asked()) == tuple(row(name) for name in names)


async def test_one_callers_tasks_are_ordered_too(store):
    await store.add(batch(*(row(task=task) for task in ("vqa", "caption", "ocr"))))

    found = await store.read(asked())
    assert [r.key.task for r in found] == ["caption", "ocr", "vqa"]


async def test_rows_of_one_key_are_summed(store):
    much = UsageCounts(3, 2**40, 5, 0, 0, 1e-9, 2)
    await store.add(batch(row(), row(counts=much)))

    assert await store.read(asked()) == (row(counts=ONE + much),)


async def test_concurrent_additions_lose_nothing(store):
    await asyncio.gather(*(store.add(batch(row())) for _ in range(20)))

    ((found),) = await store.read(asked())
    assert found.counts.requests == 20
    assert found.counts.cost_usd == 5


@pytest.mark.parametrize("tokens", [2**64 - 1, 2**63, -(2**70), 10**400])
async def test_a_count_too_large_for_any_store_is_reported_and_costs_no_other_row(store, tokens):
    ledger = UsageLedger(store, Metrics())
    ledger(RequestRecord(model="m", attempts=1, prompt_tokens=tokens, caller="odd"))
    ledger(RequestRecord(model="m", attempts=1, prompt_tokens=7, caller="ann"))
    with capture_logs() as logged:
        await ledger.flush()
    ledger(RequestRecord(model="m", attempts=1, prompt_tokens=8, caller="ann"))
    await ledger.flush()

    today = datetime.now(UTC).date()
    rows = await store.read(UsageQuery(today - timedelta(days=1), today))
    assert [(r.key.caller, r.counts.prompt_tokens) for r in rows] == [("ann", 15)]
    assert [line["event"] for line in logged] == ["usage row left out"]


@in_postgres
async def test_a_row_that_overflows_costs_no_other_row(postgres):
    much = UsageCounts(1, 2**62)
    async with open_postgres(postgres.url) as store:
        await store.add(batch(row(counts=much)))
        with capture_logs() as logged:
            await store.add(batch(row(counts=much), row("bob")))

        assert await store.read(asked()) == (row(counts=much), row("bob"))
    assert "usage row left out" in [line["event"] for line in logged]


async def test_two_processes_may_share_a_file(tmp_path):
    path = tmp_path / "u.sqlite3"
    async with open_sqlite_usage(path) as first, open_sqlite_usage(path) as second:
        await asyncio.gather(*(s.add(batch(row())) for s in (first, second) for _ in range(10)))

        ((found),) = await first.read(asked())
    assert found.counts.requests == 20


async def test_a_deleted_file_is_noticed_and_replaced_by_all_processes_that_share_it(tmp_path):
    path = tmp_path / "u.sqlite3"
    async with open_sqlite_usage(path) as store, open_sqlite_usage(path) as idle:
        await store.add(batch(row()))
        await idle.add(batch(row()))
        path.unlink()
        with capture_logs() as logged:
            await store.add(batch(row("bob")))
            await idle.add(batch(row("bob")))

        expected = (row("bob", counts=ONE + ONE),)
        assert await store.read(asked()) == await idle.read(asked()) == expected
    async with open_sqlite_usage(path) as later:
        assert await later.read(asked()) == expected
    assert [line["log_level"] for line in logged] == ["warning"] * 2


@pytest.mark.timeout(30)
async def test_a_batch_resent_to_a_frozen_redis_counts_once(tmp_path):
    with redis_server(tmp_path) as url, redis.from_url(url) as other:
        process = other.info("server")["process_id"]
        async with open_redis(url) as client:
            store = RedisUsage(client)
            await store.add(batch(row()))
            last = batch(row("bob"))
            os.kill(process, signal.SIGSTOP)
            with pytest.raises(UsageStoreError, match="TimeoutError"):
                await store.add(last)
            os.kill(process, signal.SIGCONT)
            await store.add(last)
            await store.add(last)

            assert await store.read(asked()) == (row(), row("bob"))


async def test_a_write_whose_reply_was_lost_counts_once_in_redis(redis_url):
    async with open_redis(redis_url) as client:
        await client.flushdb()
        store = RedisUsage(client)

        class Lossy:
            failing = True

            async def add(self, batch: UsageBatch) -> None:
                await store.add(batch)
                if self.failing:
                    raise UsageStoreError("the answer was lost")

            async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
                return await store.read(query)

        lossy = Lossy()
        ledger = UsageLedger(lossy, Metrics())
        record = RequestRecord(model="us.meta:0", caller="ann", attempts=1)
        ledger(record)
        with pytest.raises(UsageStoreError):
            await ledger.flush()
        ledger(record)
        lossy.failing = False
        await ledger.flush()
        today = datetime.now(UTC).date()

        rows = await store.read(UsageQuery(today - timedelta(days=1), today))
    assert sum(found.counts.requests for found in rows) == 2


async def test_an_unreachable_store_raises_our_own_error(tmp_path):
    with pytest.raises(UsageStoreError):
        async with open_sqlite_usage(tmp_path / "missing" / "u.sqlite3"):
            pass
    async with open_redis("redis://:hunter2@127.0.0.1:1/0") as client:
        with pytest.raises(UsageStoreError) as raised:
            await RedisUsage(client).add(batch(row()))
    assert "hunter2" not in raised.value.detail


@in_postgres
async def test_two_replicas_sharing_a_database_create_its_table_concurrently(postgres):
    async with open_postgres(postgres.url) as first, open_postgres(postgres.url) as second:
        await asyncio.gather(*(s.add(batch(row())) for s in (first, second) for _ in range(10)))

        ((found),) = await first.read(asked())
    assert found.counts.requests == 20


@in_postgres
async def test_two_replicas_that_add_the_same_rows_do_not_wait_for_each_other(postgres):
    rows = [row(f"caller {i}") for i in range(2000)]
    async with open_postgres(postgres.url) as first, open_postgres(postgres.url) as second:
        await asyncio.gather(first.read(asked()), second.read(asked()))
        await asyncio.gather(first.add(batch(*rows)), second.add(batch(*reversed(rows))))

        found = await first.read(asked())
    assert [r.counts.requests for r in found] == [2] * 2000


@in_postgres
async def test_rows_are_added_all_or_not_at_all(postgres):
    async with open_postgres(postgres.url) as store:
        assert await store.read(asked()) == ()
        postgres.query(f"ALTER TABLE {TABLE} ADD CONSTRAINT no_bob CHECK (caller <> 'bob')")
        try:
            with pytest.raises(UsageStoreError):
                await store.add(batch(row("ann"), row("bob")))
        finally:
            postgres.query(f"ALTER TABLE {TABLE} DROP CONSTRAINT no_bob")

        assert await store.read(asked()) == ()


@in_postgres
async def test_a_row_that_postgres_cannot_store_blocks_no_other(postgres):
    async with open_postgres(postgres.url) as store:
        await store.add(batch(row("ann"), row("a\0b"), row("a\ud800b")))

        assert {r.key.caller for r in await store.read(asked())} == {"ann", "a?b"}
        assert await store.read(asked("\0")) == ()


@in_postgres
async def test_a_database_user_without_create_rights_uses_an_existing_table(postgres):
    async with open_postgres(postgres.url) as owner:
        await owner.read(asked())
    postgres.query(
        f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}';"
        f"GRANT SELECT, INSERT, UPDATE ON {TABLE} TO clerk"
    )
    async with open_postgres(postgres.url.replace("postgres:", "clerk:", 1)) as clerk:
        await clerk.add(batch(row()))

        assert await clerk.read(asked()) == (row(),)
    postgres.query("DROP OWNED BY clerk; DROP ROLE clerk")


@in_postgres
async def test_a_database_that_recovers_is_used_again(postgres):
    async with open_postgres(postgres.url) as store:
        await store.add(batch(row()))
        postgres.stop()
        with pytest.raises(UsageStoreError):
            await store.add(batch(row()))
        postgres.start()
        await store.add(batch(row()))

        assert await store.read(asked()) == (row(counts=ONE + ONE),)


@in_postgres
@pytest.mark.timeout(20)
async def test_a_batch_resent_to_a_frozen_database_counts_once(postgres):
    async with open_postgres(postgres.url) as store:
        await store.add(batch(row()))
        async with store.pool.acquire() as connection:
            process = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(UsageStoreError, match="TimeoutError"):
                await store.add(batch(row()))
        finally:
            os.kill(process, signal.SIGCONT)
        await store.add(batch(row()))
        postgres.wait_for_the_end_of(process)

        assert await store.read(asked()) == (row(counts=ONE + ONE),)


@pytest.mark.timeout(20)
async def test_a_silent_database_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ann:hunter2@127.0.0.1:{silent.getsockname()[1]}/usage"
        async with open_postgres(url) as store:
            with pytest.raises(UsageStoreError, match="TimeoutError"):
                await store.read(asked())


@in_postgres
@pytest.mark.parametrize("wrong", ["port", "password", "address"])
async def test_an_unusable_database_is_an_error_without_its_password(postgres, wrong):
    url = {
        "port": "postgresql://postgres:hunter2@127.0.0.1:1/postgres",
        "password": postgres.url.replace(PASSWORD, "hunter22"),
        # An unescaped character in the password makes part of it the port.
        "address": "postgresql://postgres:a@b:hunter2@127.0.0.1:1/postgres",
    }[wrong]
    async with open_postgres(url) as store:
        for call in (store.add(batch(row())), store.read(asked())):
            with pytest.raises(UsageStoreError) as raised:
                await call
            said = "".join(traceback.format_exception(raised.value))
            assert "hunter2" not in f"{said} {raised.value.detail} {store!r}"
