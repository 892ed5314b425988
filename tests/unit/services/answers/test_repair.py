"""Structured requests: where answers are read, and that deadlines hold."""

import asyncio
import json
import threading
from typing import Any

from app.domain.generation import (
    CallContext,
    Completion,
    Generation,
    GenerationRequest,
    Latency,
    Role,
    StopReason,
    Turn,
)
from app.domain.usage import Usage
from app.services.answers.executor import THREADS, AnswerReader
from app.services.answers.repair import FormAsker
from app.services.answers.text.notes import Notes, Refusal
from app.services.concurrency.deadline import Drain

LONG = json.dumps({"a": "x" * 5000})


class Gate:
    """A form whose reading blocks until it is opened."""

    gaps = False
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}  # noqa: RUF012 - constant

    def __init__(self) -> None:
        self.open = threading.Event()
        self.threads: list[str] = []

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> dict[str, Any]:
        self.threads.append(threading.current_thread().name)
        self.open.wait(30)
        return value

    def refusal(self, answer: dict[str, Any]) -> tuple[dict[str, Any] | None, Refusal | None]:
        return answer, None


def request(deadline: float = float("inf")) -> GenerationRequest:
    return GenerationRequest((Turn(Role.USER, "?"),), call_context=CallContext(deadline=deadline))


async def long(_: GenerationRequest) -> Generation:
    completion = Completion(LONG, Usage(1, 1), StopReason.STOP, "stop")
    return Generation("gen_1", "m", completion, (), (), Latency(1, 1))


async def test_a_long_answer_is_read_in_a_thread_of_its_own_pool():
    form = Gate()
    form.open.set()
    async with AnswerReader.open() as reader:
        formed = await FormAsker(long, reader, Drain()).ask(request(), form)

    assert formed.reading is not None
    assert all(name.startswith("answers") for name in form.threads)


async def test_a_short_answer_under_a_large_schema_is_read_in_that_pool_too():
    form = Gate()
    form.open.set()
    words = {"enum": [f"w{i}" for i in range(2_000)]}
    form.schema = {"type": "object", "properties": {"a": words}}
    async with AnswerReader.open() as reader:
        await reader.read('{"a": "w1"}', form, StopReason.STOP)

    assert form.threads
    assert all(name.startswith("answers") for name in form.threads)


async def test_the_deadline_ends_reading_and_the_answer_is_kept():
    form = Gate()
    async with AnswerReader.open() as reader:
        deadline = asyncio.get_running_loop().time() + 0.05
        formed = await FormAsker(long, reader, Drain()).ask(request(deadline), form)
        form.open.set()

    assert formed.reading is None
    assert formed.faults[0].startswith("deadline_exceeded")
    assert [answer.completion.text for answer in formed.generations] == [LONG]


async def test_slow_answers_block_no_other_work_in_threads():
    form = Gate()
    async with AnswerReader.open() as reader:
        asker = FormAsker(long, reader, Drain())
        reading = [asyncio.create_task(asker.ask(request(), form)) for _ in range(20)]
        await asyncio.sleep(0.05)
        others = await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 30)
        busy = len(form.threads)
        form.open.set()
        formed = await asyncio.gather(*reading)

    assert others == "done"
    assert busy == THREADS
    assert all(one.reading is not None for one in formed)
