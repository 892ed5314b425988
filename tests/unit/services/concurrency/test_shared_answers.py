"""Processes that share answers by Idempotency-Key make one and read each other's."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.encryption.plain import PlainData
from app.adapters.stores.cache.redis import RedisAnswers
from app.adapters.stores.redis_client import open_redis
from app.domain.errors import IdempotencyConflictError, ImageDamagedError, UpstreamUnavailableError
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    Role,
    StopReason,
    Turn,
)
from app.domain.image import ImageLimits, ReceivedImage
from app.domain.usage import Usage
from app.services.concurrency import answer_codec
from app.services.concurrency.idempotency import slim
from app.services.concurrency.shared_answers import SharedAnswers
from app.services.generation.multiple_images import ask_each
from app.services.images.prepare import prepare
from app.services.task_runner.request import TaskAnswer
from app.services.tasks.vqa import VQA
from fixtures.process import ROOT, free_port
from tests.support.files.pictures import ROCKET

DIGEST = b"w" * 32


def generation(text: str = "42") -> Generation:
    completion = Completion(text, Usage(3, 4), StopReason.STOP, "stop")
    return Generation("gen_1", "model", completion, (), (), Latency(1, 1), created=1_700_000_000)


@pytest.fixture
async def replicas(redis_url: str, request: Any) -> AsyncIterator[list[SharedAnswers]]:
    async with open_redis(redis_url) as client:
        store = RedisAnswers(client, f"test/{request.node.name}")
        yield [SharedAnswers(store, PlainData()) for _ in range(3)]


async def test_replicas_asked_at_once_under_one_key_make_one_answer(replicas):
    calls = 0

    async def make() -> Generation:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return generation()

    answers = await asyncio.gather(*(each.share("a", "k", DIGEST, make) for each in replicas))
    later = await replicas[1].share("a", "k", DIGEST, make)

    assert calls == 1
    assert [*answers, later] == [(generation(), True)] * 4


async def test_another_replica_refuses_the_key_for_a_different_request_every_time(replicas):
    async def make() -> Generation:
        return generation()

    await replicas[0].share("a", "k", DIGEST, make)

    for replica in replicas[1:]:
        with pytest.raises(IdempotencyConflictError):
            await replica.share("a", "k", b"h" * 32, make)
    assert await replicas[2].share("b", "k", b"h" * 32, make)


async def test_a_failure_is_not_stored_and_an_erased_answer_is_gone(replicas):
    async def fail() -> Generation:
        raise UpstreamUnavailableError("down")

    async def make() -> Generation:
        return generation("another")

    with pytest.raises(UpstreamUnavailableError):
        await replicas[0].share("a", "k", DIGEST, fail)
    assert (await replicas[1].share("a", "k", DIGEST, make)).answer.completion.text == "another"
    assert [await replicas[0].erase("a"), await replicas[0].erase("a")] == [1, 0]


async def test_without_redis_each_replica_makes_its_own():
    async with open_redis(f"redis://127.0.0.1:{free_port()}/0") as client:
        shared = SharedAnswers(RedisAnswers(client), PlainData())

        async def make() -> Generation:
            return generation()

        assert await shared.share("a", "k", DIGEST, make) == (generation(), False)


def test_a_task_answer_is_restored_unchanged():
    example = VQA.result.model_construct(answer="red", parts=[("x", 1.5)])
    answer = TaskAnswer("vqa", "1", example, {"a": [b"x"]}, ("f",), None, False, 1, generation())

    assert answer_codec.decoded(answer_codec.encoded(answer)) == answer


def test_an_answer_about_a_picture_is_restored_with_its_image_reports():
    report = prepare(ReceivedImage(ROCKET), ImageLimits())
    answer = slim(replace(generation(), images=(report,)))

    again = answer_codec.decoded(answer_codec.encoded(answer))

    assert again == answer
    assert again.images[0].prepared.sha256 == report.prepared.sha256


async def test_an_answer_with_a_failed_part_is_restored_with_its_error(replicas):
    async def ask(request: GenerationRequest) -> Generation:
        if request.turns[-1].images[0].name == "images.1":
            raise ImageDamagedError.at("images.1", "is cut off")
        return generation()

    async def make() -> Generation:
        turn: Turn[ImageInput] = Turn(
            Role.USER, "?", tuple(ReceivedImage(ROCKET, name=f"images.{n}") for n in range(2))
        )
        return slim(await ask_each(GenerationRequest((turn,), strategy=ImageStrategy.EACH), ask))

    made = (await replicas[0].share("a", "k", DIGEST, make)).answer
    read = (await replicas[1].share("a", "k", DIGEST, make)).answer

    assert read.id == made.id
    (error,) = [part.error for part in read.parts if part.error is not None]
    assert (error.code, str(error), error.errors) == (
        "image_damaged", "images.1: is cut off", made.parts[1].error.errors,
    )  # fmt: skip
    # The traceback would keep the picture in memory as long as the answer.
    assert made.parts[1].error.__traceback__ is None


@pytest.mark.parametrize("value", [2**70, "\ud800", float("inf"), {"a": [None, 1.5, True]}])
def test_any_value_written_by_the_model_is_restored(value: Any):
    answer = TaskAnswer("extract", "1", None, {"value": value}, (), None, False, 1, generation())

    assert answer_codec.decoded(answer_codec.encoded(answer)) == answer


@pytest.mark.parametrize(
    "value", [10**5000, json.loads("[" * 900 + "]" * 900)], ids=["long", "deep"]
)
async def test_an_answer_that_cannot_be_stored_is_still_returned(replicas, value: Any):
    answer = TaskAnswer("extract", "1", None, {"value": value}, (), None, False, 1, generation())

    async def make() -> TaskAnswer:
        return answer

    assert await replicas[0].share("a", "k", DIGEST, make) == (answer, False)


def test_a_process_that_has_run_no_task_can_restore_a_tasks_answer():
    example = VQA.result.model_construct(answer="red")
    data = answer_codec.encoded(
        TaskAnswer("vqa", "1", example, None, (), None, False, 1, generation())
    )
    reading = "import sys; from app.services.concurrency.answer_codec import decoded as read; "
    reading += "print(read(sys.stdin.buffer.read()).result.answer)"

    run = subprocess.run(
        [sys.executable, "-c", reading], cwd=ROOT, input=data, capture_output=True, check=True
    )

    assert run.stdout.strip() == b"red"


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"object": [["os", "stat_result"], {}]}',
        b'{"object": [["app.domain.generation", "Usage"], {}]}',
        b'{"enum": [["app.domain.generation", "Usage"], 1]}',
        b'{"eval": "1"}',
    ],
)
def test_data_that_is_not_an_answer_is_refused(data: bytes):
    with pytest.raises(ValueError, match=r"is not an answer|unpack"):
        answer_codec.decoded(data)
