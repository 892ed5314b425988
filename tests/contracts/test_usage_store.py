"""What every UsageStore does: memory, a file, and a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from app.adapters.stores.usage_memory import MemoryUsage
from app.adapters.stores.usage_redis import RedisUsage, open_redis
from app.adapters.stores.usage_sqlite import open_sqlite_usage
from app.domain.errors import UsageStoreError
from app.domain.ports import UsageStore
from app.domain.usage import UsageCounts, UsageKey, UsageQuery, UsageRow

DAY = date(2026, 11, 23)
ONE = UsageCounts(1, 10, 20, 1, 4, 0.25, 0)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request, tmp_path) -> AsyncIterator[UsageStore]:
    match request.param:
        case "memory":
            yield MemoryUsage()
        case "sqlite":
            async with open_sqlite_usage(tmp_path / "u.sqlite3") as sqlite:
                yield sqlite
        case _:
            async with open_redis(request.getfixturevalue("redis_url")) as client:
                await client.flushdb()
                yield RedisUsage(client)


def row(caller: str = "ann", day: date = DAY, counts: UsageCounts = ONE) -> UsageRow:
    return UsageRow(UsageKey(day, "us.meta:0", caller, "ocr"), counts)


def asked(caller: str | None = None, days: int = 0) -> UsageQuery:
    return UsageQuery(DAY - timedelta(days=days), DAY, caller)


async def test_what_is_added_twice_is_added_up(store):
    await store.add([row()])
    await store.add([row(), row("bob")])

    assert await store.read(asked()) == (row(counts=ONE + ONE), row("bob"))


async def test_one_callers_usage_is_read_alone(store):
    await store.add([row("ann"), row("bob")])

    assert await store.read(asked("bob")) == (row("bob"),)
    assert await store.read(asked("eve")) == ()


async def test_only_the_days_asked_for_are_read_oldest_first(store):
    days = [DAY - timedelta(days=i) for i in range(-1, 3)]
    await store.add([row(day=day) for day in days])

    assert await store.read(asked(days=1)) == (row(day=days[2]), row(day=days[1]))


async def test_names_are_ordered_alike_whatever_language_the_store_speaks(store):
    names = ["Zoe", "ann", "sub:a b", "sub:ab", "Émile"]
    await store.add([row(name) for name in reversed(names)])

    assert await store.read(asked()) == tuple(row(name) for name in names)


async def test_rows_of_one_key_are_added_up_too(store):
    much = UsageCounts(3, 2**40, 5, 0, 0, 1e-9, 2)
    await store.add([row(), row(counts=much)])

    assert await store.read(asked()) == (row(counts=ONE + much),)


async def test_additions_at_the_same_time_lose_nothing(store):
    await asyncio.gather(*(store.add([row()]) for _ in range(20)))

    ((found),) = await store.read(asked())
    assert found.counts.requests == 20
    assert found.counts.cost_usd == 5


async def test_two_processes_may_share_a_file(tmp_path):
    path = tmp_path / "u.sqlite3"
    async with open_sqlite_usage(path) as first, open_sqlite_usage(path) as second:
        await asyncio.gather(*(s.add([row()]) for s in (first, second) for _ in range(10)))

        ((found),) = await first.read(asked())
    assert found.counts.requests == 20


async def test_a_store_that_is_away_is_an_error_of_ours(tmp_path):
    with pytest.raises(UsageStoreError):
        async with open_sqlite_usage(tmp_path / "missing" / "u.sqlite3"):
            pass
    async with open_redis("redis://:hunter2@127.0.0.1:1/0") as client:
        with pytest.raises(UsageStoreError) as raised:
            await RedisUsage(client).add([row()])
    assert "hunter2" not in raised.value.detail
