"""Jobs that are being removed or whose process died, and repeated submissions."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.access import ANONYMOUS
from app.domain.errors import JobNotFoundError
from app.domain.job import JobAnswer, JobRequest, JobStatus
from app.domain.work import Finished, WorkKind
from app.services.jobs import stored
from app.services.jobs.handler import JobHandler
from app.services.jobs.service import Jobs
from tests.support.fakes.own_class import with_own_class


class NoWebhooks:
    def check(self, url: str | None) -> None:
        assert url is None


@pytest.fixture
async def jobs(tmp_path):
    webhooks: Any = NoWebhooks()
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as queue:
        yield Jobs(with_own_class(queue), webhooks, 3600)


async def half_removed(jobs: Jobs) -> str:
    """Return the id of a job after the first step of its removal."""
    request = JobRequest("/v1/generate", {}, b"{}", "req_1", ANONYMOUS, None)
    job = await jobs.submit(request)
    await jobs.queue.cancel(ANONYMOUS.id, job.id, leased=True)
    return job.id


async def test_a_job_being_removed_is_not_found(jobs):
    job = await half_removed(jobs)

    with pytest.raises(JobNotFoundError):
        await jobs.get(ANONYMOUS.id, job)
    with pytest.raises(JobNotFoundError):
        await jobs.wait(ANONYMOUS.id, job, 30)
    assert await jobs.list(ANONYMOUS.id, 10) == ()


async def test_the_rest_of_a_half_removed_job_is_deleted_after_its_process_died(jobs):
    await half_removed(jobs)
    endpoint: Any = None

    async with asyncio.TaskGroup() as steps:
        await JobHandler(jobs, endpoint, 1, 60).tend(steps)

    assert await jobs.queue.active(WorkKind.JOB) == ()


async def test_the_same_request_under_one_idempotency_key_is_the_same_job(jobs):
    keyed = JobRequest("/v1/generate", {"idempotency-key": "k"}, b"{}", "req_1")

    first = await jobs.submit(keyed)
    again = await jobs.submit(replace(keyed, request_id="req_2"))
    others = [replace(keyed, body=b"{ }"), replace(keyed, headers={}), replace(keyed, headers={})]
    ids = {(await jobs.submit(other)).id for other in others}

    assert again == first
    assert len(ids | {first.id}) == 4


async def test_one_idempotency_key_sent_twice_at_once_is_one_job(jobs):
    keyed = JobRequest("/v1/generate", {"idempotency-key": "k"}, b"{}", "req_1")

    submitted = await asyncio.gather(*(jobs.submit(keyed) for _ in range(4)))

    assert len({job.id for job in submitted}) == 1
    assert len(await jobs.queue.lease("w", (WorkKind.JOB,), 9)) == 1


async def test_a_job_deleted_while_it_is_read_is_not_found(jobs, monkeypatch):
    request = JobRequest("/v1/generate", {}, b"{}", "req_1", ANONYMOUS, None)
    job = await jobs.submit(request)
    (work,) = await jobs.queue.lease("w", (WorkKind.JOB,), 1)
    answer = stored.answer(JobAnswer(200, "application/json", b"{}"), 1)
    await jobs.queue.finish([Finished(work, True, answer)])
    counts = type(jobs.queue).counts

    async def counted_before_the_end(queue, group):
        found = await counts(queue, group)
        await jobs.remove(ANONYMOUS.id, job.id)
        return found

    monkeypatch.setattr(type(jobs.queue), "counts", counted_before_the_end)
    for read in (jobs.get(ANONYMOUS.id, job.id), jobs.wait(ANONYMOUS.id, job.id, 5)):
        with pytest.raises(JobNotFoundError):
            await read


async def test_a_failed_job_restarts_when_it_is_submitted_again(jobs):
    keyed = JobRequest("/v1/generate", {"idempotency-key": "k"}, b"{}", "req_1")
    job = await jobs.submit(keyed)
    (work,) = await jobs.queue.lease("w", (WorkKind.JOB,), 1)
    answer = stored.answer(JobAnswer(503, "application/json", b"{}"), 1)
    await jobs.queue.finish([Finished(work, False, answer)])
    assert (await jobs.get(ANONYMOUS.id, job.id)).status is JobStatus.FAILED

    again = await jobs.submit(keyed)

    assert (again.id, again.status) == (job.id, JobStatus.QUEUED)
    assert len(await jobs.queue.lease("w", (WorkKind.JOB,), 9)) == 1
