"""The contract of every AnswerStore: in memory, a file and a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.adapters.stores.cache.memory import MemoryAnswers
from app.adapters.stores.cache.redis import RedisAnswers
from app.adapters.stores.cache.sqlite import open_sqlite_answers
from app.adapters.stores.redis_client import open_redis
from app.domain.cache import Place
from app.domain.errors import AnswerStoreError
from app.domain.ports import AnswerStore

PLACE = Place("k1", "ann", "m1")
BYTES = bytes(range(256)) * 10


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request, tmp_path) -> AsyncIterator[AnswerStore]:
    match request.param:
        case "memory":
            yield MemoryAnswers(100_000)
        case "sqlite":
            async with open_sqlite_answers(tmp_path / "data" / "a.sqlite3", 100_000) as sqlite:
                yield sqlite
        case _:
            async with open_redis(request.getfixturevalue("redis_url")) as client:
                await client.flushdb()
                yield RedisAnswers(client)


async def test_a_stored_answer_is_returned_byte_for_byte(store):
    assert await store.get(PLACE) is None
    await store.put(PLACE, BYTES, 60)

    assert await store.get(PLACE) == BYTES
    assert await store.get(Place("k2", "ann", "m1")) is None


async def test_an_answer_is_stored_under_its_owner(store):
    await store.put(PLACE, BYTES, 60)

    assert await store.get(Place("k1", "bob", "m1")) is None


async def test_storing_again_replaces_the_old_answer(store):
    await store.put(PLACE, b"old", 60)
    await store.put(PLACE, b"new", 60)

    assert await store.get(PLACE) == b"new"


async def test_an_expired_answer_is_gone(store):
    await store.put(PLACE, BYTES, 0.02)
    await asyncio.sleep(0.1)

    assert await store.get(PLACE) is None


@pytest.mark.parametrize(
    ("owner", "model", "left"),
    [
        (None, None, []),
        ("ann", None, ["k3"]),
        (None, "m1", ["k2"]),
        ("ann", "m1", ["k2", "k3"]),
        ("eve", None, ["k1", "k2", "k3"]),
    ],
)
async def test_answers_are_purged_by_owner_and_model(store, owner, model, left):
    places = [Place("k1", "ann", "m1"), Place("k2", "ann", "m2"), Place("k3", "bob", "m1")]
    for place in places:
        await store.put(place, BYTES, 60)

    assert await store.purge(owner, model) == 3 - len(left)
    assert [place.key for place in places if await store.get(place)] == left


async def test_a_claim_has_one_holder_at_a_time(store):
    if not store.shared:
        return await _never_refuses(store)
    assert await store.claim(PLACE, "one", 60)
    assert await store.claim(PLACE, "one", 60)
    assert not await store.claim(PLACE, "two", 60)
    await store.release(PLACE, "two")
    assert not await store.claim(PLACE, "two", 60)
    await store.release(PLACE, "one")
    assert await store.claim(PLACE, "two", 60)
    return None


async def _never_refuses(store: AnswerStore) -> None:
    assert await store.claim(PLACE, "one", 60)
    assert await store.claim(PLACE, "two", 60)


async def test_a_claim_expires(store):
    assert await store.claim(PLACE, "one", 0.02)
    await asyncio.sleep(0.1)

    assert await store.claim(PLACE, "two", 60)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_least_recently_used_answers_are_evicted(kind, tmp_path):
    async with open_sqlite_answers(tmp_path / "a.sqlite3", 100_000) as sqlite:
        store: AnswerStore = MemoryAnswers(100_000) if kind == "memory" else sqlite
        for number in range(200):
            await store.put(Place(f"k{number}", "ann", "m1"), b"x" * 1_000, 60)
        kept = [n for n in range(200) if await store.get(Place(f"k{n}", "ann", "m1"))]

    assert 60 <= len(kept) <= 100
    assert kept == list(range(200 - len(kept), 200))


async def test_a_file_survives_a_restart(tmp_path):
    for _ in range(2):
        async with open_sqlite_answers(tmp_path / "a.sqlite3", 100_000) as store:
            before = await store.get(PLACE)
            await store.put(PLACE, BYTES, 60)

    assert before == BYTES


async def test_a_malformed_file_raises_our_own_error(tmp_path):
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"no database" * 1000)
    async with open_sqlite_answers(path, 100_000) as store:
        with pytest.raises(AnswerStoreError):
            await store.get(PLACE)


async def test_an_unreachable_redis_raises_our_own_error():
    async with open_redis("redis://:secret@127.0.0.1:1/0") as client:
        store = RedisAnswers(client)
        for work in (
            store.get(PLACE),
            store.put(PLACE, BYTES, 60),
            store.claim(PLACE, "one", 60),
            store.release(PLACE, "one"),
            store.purge(None, None),
        ):
            with pytest.raises(AnswerStoreError) as raised:
                await work
            assert "secret" not in str(raised.value)
