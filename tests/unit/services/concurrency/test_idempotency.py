"""Requests with one key share one call; stored answers are bounded."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from app.domain.errors import (
    DeadlineExceededError,
    IdempotencyConflictError,
    ShuttingDownError,
    UpstreamUnavailableError,
)
from app.domain.generation import CallContext, Completion, Generation, Latency, StopReason
from app.domain.image import ImageLimits, ReceivedImage
from app.domain.usage import Usage
from app.services.concurrency.deadline import Drain
from app.services.concurrency.idempotency import IdempotentAnswers, slim
from app.services.images.prepare import prepare
from app.telemetry import RequestRecord, current, recording
from tests.support.files.pictures import ROCKET


@dataclass
class Model:
    """Counts calls; answers at once or when released."""

    calls: int = 0
    ended: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    winding_up: asyncio.Event | None = None
    failing: bool = False
    call_context: CallContext = field(default_factory=CallContext)

    async def __call__(self, call_context: CallContext) -> Generation:
        self.calls += 1
        self.call_context = call_context
        current().attempts += 1
        self.called.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            if self.winding_up is not None:
                await self.winding_up.wait()
            raise
        finally:
            self.ended += 1
        if self.failing:
            raise UpstreamUnavailableError("down")
        completion = Completion("42", Usage(), StopReason.STOP, "stop")
        return Generation(f"gen_{self.calls}", "model", completion, (), (), Latency(1, 1))


def ready() -> Model:
    model = Model()
    model.go.set()
    return model


def kept(**options: Any) -> IdempotentAnswers:
    return IdempotentAnswers(Drain(), 60, **options)


def on(key: str = "k", caller: str = "a", deadline: float = math.inf) -> CallContext:
    return CallContext(address=caller, deadline=deadline, idempotency_key=key)


CONTENT = b"Why?"


async def test_concurrent_requests_share_one_call():
    answers, model = kept(), Model()
    sharing = [asyncio.create_task(answers.share(on(), CONTENT, model)) for _ in range(5)]
    await model.called.wait()
    model.go.set()

    assert {shared.id for shared in await asyncio.gather(*sharing)} == {"gen_1"}
    assert model.calls == 1


async def test_an_answer_is_kept_until_it_expires():
    model = ready()
    keeping = kept(seconds=600)
    assert [(await keeping.share(on(), CONTENT, model)).id for _ in range(2)] == ["gen_1", "gen_1"]
    expiring = kept(seconds=0)
    assert [(await expiring.share(on(), CONTENT, model)).id for _ in range(2)] == ["gen_2", "gen_3"]


async def test_the_number_of_stored_answers_is_bounded_and_the_oldest_go_first():
    answers, model = kept(most=2), ready()
    for key in ("one", "two", "three"):
        await answers.share(on(key), CONTENT, model)
    assert len(answers._shared) == 2
    await answers.share(on("three"), CONTENT, model)
    assert model.calls == 3
    await answers.share(on("one"), CONTENT, model)
    assert model.calls == 4


async def test_one_key_for_two_request_bodies_is_a_conflict():
    answers, model = kept(), ready()
    await answers.share(on(), CONTENT, model)
    with pytest.raises(IdempotencyConflictError):
        await answers.share(on(), b"How?", model)


async def test_callers_do_not_see_each_others_answers():
    answers, model = kept(), ready()
    await answers.share(on(caller="a"), CONTENT, model)
    assert (await answers.share(on(caller="b"), CONTENT, model)).id == "gen_2"


async def test_a_failure_is_raised_and_not_stored():
    answers, model = kept(), ready()
    model.failing = True
    with pytest.raises(UpstreamUnavailableError):
        await answers.share(on(), CONTENT, model)
    model.failing = False
    assert (await answers.share(on(), CONTENT, model)).id == "gen_2"


async def test_the_call_continues_while_anyone_waits_and_ends_with_the_last():
    answers, model = kept(), Model()
    first, second = (asyncio.create_task(answers.share(on(), CONTENT, model)) for _ in range(2))
    await model.called.wait()
    await until(lambda: next(iter(answers._shared.values())).flight.waiting == 2)

    await cancelled(first)
    assert model.ended == 0
    await cancelled(second)
    await asyncio.sleep(0)
    assert model.ended == 1
    assert not answers._shared


async def test_a_caller_who_arrives_while_an_abandoned_call_ends_gets_a_new_call():
    answers, model = kept(), Model(winding_up=asyncio.Event())
    first = asyncio.create_task(answers.share(on(), CONTENT, model))
    await model.called.wait()
    await cancelled(first)
    later = asyncio.create_task(answers.share(on(), CONTENT, model))
    await until(lambda: model.calls == 2)
    assert model.winding_up is not None
    model.winding_up.set()
    model.go.set()

    assert (await later).id == "gen_2"


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_each_waiting_caller_has_its_own_deadline_and_the_call_the_services():
    answers, model = kept(), Model()
    hurried = asyncio.create_task(answers.share(on(deadline=soon()), CONTENT, model))
    patient = asyncio.create_task(answers.share(on(), CONTENT, model))
    with pytest.raises(DeadlineExceededError):
        await hurried
    model.go.set()

    assert (await patient).id == "gen_1"
    assert model.call_context.deadline > soon() + 50
    assert model.call_context.idempotency_key is None


async def test_the_last_deadline_of_the_waiting_callers_ends_the_call():
    answers, model = kept(), Model()
    with pytest.raises(DeadlineExceededError):
        await answers.share(on(deadline=soon()), CONTENT, model)
    await asyncio.sleep(0)

    assert model.ended == 1


async def test_waiting_requests_are_refused_when_the_service_closes():
    drain = Drain()
    answers, model = IdempotentAnswers(drain, 60), Model()
    waiting = asyncio.create_task(answers.share(on(), CONTENT, model))
    await model.called.wait()
    drain.close()

    with pytest.raises(ShuttingDownError):
        await waiting


async def recorded(answers: IdempotentAnswers, model: Model, record: RequestRecord) -> None:
    with recording(record):
        await answers.share(on(), CONTENT, model)


@pytest.mark.parametrize("leaving", [0, 1])
async def test_a_shared_call_is_reported_once_to_a_caller_who_stayed(leaving):
    answers, model = kept(), Model()
    records = [RequestRecord(), RequestRecord()]
    tasks = [asyncio.create_task(recorded(answers, model, record)) for record in records]
    await model.called.wait()
    await cancelled(tasks.pop(leaving))
    model.go.set()
    await tasks[0]
    await recorded(answers, model, records[leaving])

    assert records[leaving].attempts == 0
    assert records[1 - leaving].attempts == 1


@pytest.mark.parametrize("failing", [False, True])
async def test_a_shared_call_is_reported_once_when_all_callers_stay(failing):
    answers, model = kept(), Model(failing=failing)
    records = [RequestRecord() for _ in range(3)]
    sharing = asyncio.gather(
        *(recorded(answers, model, record) for record in records), return_exceptions=True
    )
    await until(lambda: bool(answers._shared) and answers._shared["a", "k"].flight.waiting == 3)
    model.go.set()
    await sharing

    assert sum(record.attempts for record in records) == 1


async def test_an_abandoned_call_is_reported_to_the_last_caller_who_left():
    answers, model = kept(), Model()
    records = [RequestRecord(), RequestRecord()]
    tasks = [asyncio.create_task(recorded(answers, model, record)) for record in records]
    await model.called.wait()
    for task in tasks:
        await cancelled(task)

    assert [record.attempts for record in records] == [0, 1]


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - no event announces it
        await asyncio.sleep(0.001)


def test_a_stored_answer_keeps_everything_about_its_pictures_but_their_bytes():
    report = prepare(ReceivedImage(ROCKET), ImageLimits())
    generation = Generation(
        id="gen_1",
        model="m",
        completion=Completion("text", Usage(1, 1), StopReason.STOP, None),
        images=(report,),
        warnings=(),
        latency=Latency(total=1, model=1, first_token=None),
    )

    (kept,) = slim(generation).images

    assert kept.prepared.data == b""
    assert kept.prepared.size == len(report.prepared.data)
    assert kept.prepared.sha256 == sha256(report.prepared.data).hexdigest()


async def test_one_callers_thousand_keys_evict_no_answer_of_another():
    answers, model = kept(), ready()
    await answers.share(on(caller="b"), CONTENT, model)
    for number in range(1500):
        await answers.share(on(f"k{number}", caller="a"), CONTENT, model)
    calls = model.calls

    await answers.share(on(caller="b"), CONTENT, model)
    assert model.calls == calls
    await answers.share(on("k1499", caller="a"), CONTENT, model)
    assert model.calls == calls
    # The caller's own oldest answers are evicted.
    await answers.share(on("k0", caller="a"), CONTENT, model)
    assert model.calls == calls + 1
