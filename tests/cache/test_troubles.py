"""Stores that fail, are slow or return other bytes: a miss, and the model is called."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from app.adapters.stores.cache.memory import MemoryAnswers
from app.adapters.stores.cache.redis import RedisAnswers
from app.adapters.stores.cache.sqlite import open_sqlite_answers
from app.adapters.stores.redis_client import open_redis
from app.domain.access import Call, Caller
from app.domain.cache import CacheMode, CacheScope, CacheWish, Place
from app.domain.errors import AnswerStoreError, ModelFailedError
from app.domain.generation import CallContext, ModelRequest, Role, Sampling, Turn
from app.domain.ports import AnswerStore
from app.services.cache.answers import KeptAnswers
from app.services.cache.terms import CacheTerms
from app.services.guardrails.policies import GuardrailPolicies
from app.services.images.pixel_digest import PixelDigests
from app.services.model_stack.answer_cache import AnswerCacheModel
from app.telemetry.metrics import CACHE_FAILURES, Metrics
from tests.support.fakes.cipher import SealedData
from tests.support.fakes.ports import FakeVisionModel, GatedVisionModel

REQUEST = ModelRequest((Turn(Role.USER, "Why?"),), sampling=Sampling(temperature=0))


def cached(
    store: AnswerStore, model: FakeVisionModel, cipher: SealedData | None = None
) -> AnswerCacheModel:
    answers = KeptAnswers(store, cipher or SealedData(), Metrics(), 60, 0.2)
    terms = CacheTerms(CacheMode.ON, CacheScope.CALLER, False, "t", "m", GuardrailPolicies())
    return AnswerCacheModel(model, answers, terms, PixelDigests(None))  # type: ignore[arg-type]


def failures(model: AnswerCacheModel, operation: str) -> float:
    metrics = model.answers.metrics
    metrics.flush()
    value = metrics.registry.get_sample_value(CACHE_FAILURES, {"operation": operation})
    return value or 0


def asked_by(caller: str) -> ModelRequest:
    return replace(REQUEST, call_context=CallContext(Call(Caller(caller, frozenset()))))


@dataclass
class Troubled:
    """A store in which every operation fails in one way."""

    how: str
    shared: bool = True
    calls: int = 0

    async def _trouble(self) -> None:
        self.calls += 1
        if self.how == "slow":
            await asyncio.sleep(60)
        raise AnswerStoreError("away")

    async def get(self, place: Place) -> bytes | None:
        await self._trouble()
        return None

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        await self._trouble()

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        await self._trouble()
        return False

    async def release(self, place: Place, holder: str) -> None:
        await self._trouble()

    async def purge(self, owner: str | None, model: str | None) -> int:
        await self._trouble()
        return 0


@pytest.mark.parametrize("how", ["failing", "slow"])
async def test_a_failing_store_is_a_miss_and_is_not_used_for_a_while(how):
    store, model = Troubled(how), FakeVisionModel()
    front = cached(store, model)

    for _ in range(5):
        completion = await front.generate(REQUEST)
        assert completion.replay is None
    assert len(model.requests) == 5
    assert store.calls == 1
    assert failures(front, "get") == 1


@dataclass
class Lying(MemoryAnswers):
    """Returns other bytes than were stored."""

    most: int = 2**20
    lie: bytes = b""
    given: list[bytes] = field(default_factory=list)

    async def get(self, place: Place) -> bytes | None:
        found = await MemoryAnswers.get(self, place)
        return found and self.lie

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        self.given.append(data)
        await MemoryAnswers.put(self, place, data, seconds)


@pytest.mark.parametrize("lie", [b"", b"x", b"\x00" * 400, b"{}", b'{"key":1}'])
async def test_unencrypted_bytes_in_the_store_are_a_miss(lie):
    model = FakeVisionModel()
    front = cached(Lying(lie=lie), model)

    for _ in range(2):
        assert (await front.generate(REQUEST)).replay is None
    assert len(model.requests) == 2
    assert failures(front, "key") == 1


async def test_an_entry_moved_from_another_place_is_a_miss():
    store, model = Lying(), FakeVisionModel()
    front = cached(store, model)
    await front.generate(REQUEST)
    store.lie = store.given[0]
    other = replace(REQUEST, turns=(Turn(Role.USER, "Why not?"),))
    await front.generate(other)

    assert (await front.generate(other)).replay is None
    assert (await front.generate(REQUEST)).replay is not None


async def test_losing_a_callers_key_loses_only_that_callers_answers():
    store, model, cipher = MemoryAnswers(2**20), FakeVisionModel(), SealedData()
    front = cached(store, model, cipher)
    for caller in ("ann", "bob"):
        await front.generate(asked_by(caller))
    cipher.lost.add("ann")

    assert (await front.generate(asked_by("ann"))).replay is None
    assert (await front.generate(asked_by("bob"))).replay is not None


async def test_a_wrong_key_decrypts_nothing():
    store, model = MemoryAnswers(2**20), FakeVisionModel()
    await cached(store, model).generate(REQUEST)
    other = cached(store, model, SealedData(secret=b"another"))

    assert (await other.generate(REQUEST)).replay is None


async def test_an_evicted_answer_is_requested_again():
    store, model = MemoryAnswers(2**20), FakeVisionModel()
    front = cached(store, model)
    await front.generate(REQUEST)
    await store.purge(None, None)

    assert (await front.generate(REQUEST)).replay is None


async def test_cached_answers_survive_a_restart(tmp_path):
    model = FakeVisionModel()
    for _ in range(2):
        async with open_sqlite_answers(tmp_path / "a.sqlite3", 2**20) as store:
            completion = await cached(store, model).generate(REQUEST)

    assert completion.replay is not None
    assert len(model.requests) == 1


async def test_an_answer_older_than_the_request_allows_is_not_used():
    front = cached(MemoryAnswers(2**20), FakeVisionModel())
    await front.generate(REQUEST)
    await asyncio.sleep(0.05)
    context = CallContext(cache=CacheWish(max_age=0.01))

    completion = await front.generate(replace(REQUEST, call_context=context))
    assert completion.replay is None


async def test_a_failure_reaches_every_waiting_request_and_is_not_cached():
    model = FakeVisionModel(failing=ModelFailedError("no"))
    front = cached(MemoryAnswers(2**20), model)

    outcomes = await asyncio.gather(
        *(front.generate(REQUEST) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, ModelFailedError) for outcome in outcomes)
    assert len(model.requests) == 1
    model.failing = None
    assert (await front.generate(REQUEST)).replay is None


async def test_a_request_that_leaves_does_not_cancel_the_answer_for_others():
    model = GatedVisionModel()
    front = cached(MemoryAnswers(2**20), model)
    first = asyncio.create_task(front.generate(REQUEST))
    await asyncio.to_thread(model.asked.wait, 10)
    second = asyncio.create_task(front.generate(REQUEST))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    model.go.set()

    assert (await second).text
    assert len(model.requests) == 1


async def test_an_abandoned_stream_is_not_cached_and_the_next_request_calls_the_model():
    model = FakeVisionModel()
    front = cached(MemoryAnswers(2**20), model)
    async with front.stream(REQUEST) as parts:
        await anext(parts)
        waiting = asyncio.create_task(front.generate(REQUEST))
        await asyncio.sleep(0.01)
        assert not waiting.done()

    assert (await waiting).replay is None
    assert len(model.requests) == 2


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_replicas_sharing_a_store_make_one_call(kind, tmp_path, request):
    model = GatedVisionModel()
    async with (
        open_sqlite_answers(tmp_path / "a.sqlite3", 2**20) as one,
        open_sqlite_answers(tmp_path / "a.sqlite3", 2**20) as two,
        open_redis(request.getfixturevalue("redis_url")) as client,
    ):
        await client.flushdb()
        stores: list[AnswerStore] = [one, two] if kind == "sqlite" else [RedisAnswers(client)] * 2
        fronts = [cached(store, model) for store in stores]
        for front in fronts:
            front.answers.timeout = 10
        asking = [
            asyncio.create_task(front.generate(REQUEST)) for front in fronts for _ in range(20)
        ]
        await asyncio.to_thread(model.asked.wait, 10)
        await asyncio.sleep(0.3)
        model.go.set()
        answers = await asyncio.gather(*asking)

    assert len(model.requests) == 1
    assert sum(answer.replay is None for answer in answers) == 1


async def test_a_long_stream_renews_its_claim_against_other_replicas(redis_url):
    model = FakeVisionModel()
    async with open_redis(redis_url) as client:
        await client.flushdb()
        one, two = (
            replace(cached(RedisAnswers(client), model), claim=2.0, flights={}) for _ in range(2)
        )
        async with one.stream(REQUEST) as parts:
            waiting = asyncio.create_task(two.generate(REQUEST))
            # One and a half times as long as a claim that is not renewed.
            await asyncio.sleep(3)
            assert not waiting.done()
            async for _ in parts:
                pass
        answer = await waiting

    assert answer.replay is not None
    assert len(model.requests) == 1
