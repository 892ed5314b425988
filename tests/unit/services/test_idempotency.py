"""Requests with one key share one call; what is kept is bounded."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from app.domain.errors import IdempotencyConflictError, UpstreamUnavailableError
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    Latency,
    Role,
    StopReason,
    Terms,
    Turn,
    Usage,
)
from app.services.idempotency import IdempotentAnswers


@dataclass
class Model:
    """Counts calls; answers at once, or when told to."""

    calls: int = 0
    ended: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    winding_up: asyncio.Event | None = None
    failing: bool = False

    async def __call__(self, request: GenerationRequest) -> Generation:
        self.calls += 1
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


def asked(text: str = "Why?", caller: str = "a") -> GenerationRequest:
    return GenerationRequest((Turn(Role.USER, text),), terms=Terms(caller=caller))


async def test_requests_at_the_same_time_share_one_call():
    answers, model = IdempotentAnswers(), Model()
    sharing = [asyncio.create_task(answers.share(asked(), "k", model)) for _ in range(5)]
    await model.called.wait()
    model.go.set()

    assert {shared.id for shared in await asyncio.gather(*sharing)} == {"gen_1"}
    assert model.calls == 1


async def test_an_answer_is_kept_until_it_expires():
    model = ready()
    kept = IdempotentAnswers(seconds=600)
    assert [(await kept.share(asked(), "k", model)).id for _ in range(2)] == ["gen_1", "gen_1"]
    expiring = IdempotentAnswers(seconds=0)
    assert [(await expiring.share(asked(), "k", model)).id for _ in range(2)] == ["gen_2", "gen_3"]


async def test_no_more_are_kept_than_the_bound_the_oldest_go_first():
    answers, model = IdempotentAnswers(most=2), ready()
    for key in ("one", "two", "three"):
        await answers.share(asked(), key, model)
    assert len(answers._shared) == 2
    await answers.share(asked(), "three", model)
    assert model.calls == 3
    await answers.share(asked(), "one", model)
    assert model.calls == 4


async def test_one_key_for_two_contents_is_a_conflict():
    answers, model = IdempotentAnswers(), ready()
    await answers.share(asked("Why?"), "k", model)
    with pytest.raises(IdempotencyConflictError):
        await answers.share(asked("How?"), "k", model)


async def test_callers_do_not_see_each_others_answers():
    answers, model = IdempotentAnswers(), ready()
    await answers.share(asked(caller="a"), "k", model)
    assert (await answers.share(asked(caller="b"), "k", model)).id == "gen_2"


async def test_a_failure_is_told_and_not_kept():
    answers, model = IdempotentAnswers(), ready()
    model.failing = True
    with pytest.raises(UpstreamUnavailableError):
        await answers.share(asked(), "k", model)
    model.failing = False
    assert (await answers.share(asked(), "k", model)).id == "gen_2"


async def test_the_call_goes_on_while_anyone_waits_and_ends_with_the_last():
    answers, model = IdempotentAnswers(), Model()
    first, second = (asyncio.create_task(answers.share(asked(), "k", model)) for _ in range(2))
    await model.called.wait()
    await until(lambda: next(iter(answers._shared.values())).waiting == 2)

    await cancelled(first)
    assert model.ended == 0
    await cancelled(second)
    await asyncio.sleep(0)
    assert model.ended == 1
    assert not answers._shared


async def test_who_comes_while_an_abandoned_call_winds_up_gets_a_call_of_its_own():
    answers, model = IdempotentAnswers(), Model(winding_up=asyncio.Event())
    first = asyncio.create_task(answers.share(asked(), "k", model))
    await model.called.wait()
    await cancelled(first)
    later = asyncio.create_task(answers.share(asked(), "k", model))
    await until(lambda: model.calls == 2)
    assert model.winding_up is not None
    model.winding_up.set()
    model.go.set()

    assert (await later).id == "gen_2"


async def cancelled(task: "asyncio.Task[Generation]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)
