"""Stored answers that replace a repeated call, and what can prevent it."""

from typing import cast

from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.errors import WorkQueueError
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.ports import WorkQueue
from app.domain.work import Leased, NewWork, WorkGroup, WorkKind
from app.services.jobs.journal import Journal
from app.services.jobs.paid import JobAnswers, answers_of
from app.services.model_stack.paid_answers import PaidAnswersModel, keeping
from tests.support.fakes.ports import FakeVisionModel

JOB = WorkGroup("job_1", "ann", WorkKind.JOB, "open", 0.0)


def asked(text: str) -> ModelRequest:
    return ModelRequest((Turn(Role.USER, text),))


def leased() -> Leased:
    return Leased(1, WorkKind.JOB, "ann", JOB.id, 0, b"", 0, 0.0, "worker")


def answers(queue: WorkQueue) -> JobAnswers:
    return JobAnswers(Journal(queue, leased(), answers_of(JOB.id), 1e12))


class Deaf:
    """A queue that fails."""

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        raise WorkQueueError("The disk is full.")


async def test_equal_requests_of_one_attempt_are_each_sent_and_each_answer_is_reused_once(tmp_path):
    model = FakeVisionModel()
    once = PaidAnswersModel(model)
    async with open_sqlite_queue(tmp_path / "work.sqlite3") as queue:
        await queue.open(JOB, [NewWork(0, b"")])
        with keeping(answers(queue)):
            for _ in range(2):
                await once.generate(asked("Why?"))
        assert len(model.requests) == 2
        later = answers(queue)
        with keeping(later):
            for text in ("Why?", "Why?", "How?", "Why?"):
                await once.generate(asked(text))
    assert [request.turns[0].text for request in model.requests[2:]] == ["How?", "Why?"]


async def test_a_failing_queue_keeps_no_answer_from_the_caller():
    model = FakeVisionModel()
    with keeping(answers(cast("WorkQueue", Deaf()))):
        completion = await PaidAnswersModel(model).generate(asked("Why?"))
    assert completion.text


async def test_an_unreadable_stored_answer_is_requested_again(tmp_path):
    model = FakeVisionModel()
    once = PaidAnswersModel(model)
    async with open_sqlite_queue(tmp_path / "work.sqlite3") as queue:
        await queue.open(JOB)
        with keeping(answers(queue)):
            await once.generate(asked("Why?"))
        name = answers_of(JOB.id)
        (item,) = await queue.results("ann", name, -1, 10)
        head, _, _ = item.payload.partition(b"\n")
        group = await queue.group("ann", name)
        assert group is not None
        await queue.clear(name)
        await queue.put(group, [NewWork(0, head + b"\n[7")])
        with keeping(answers(queue)):
            await once.generate(asked("Why?"))
    assert len(model.requests) == 2
