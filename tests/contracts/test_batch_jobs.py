"""Bedrock batch jobs, with the emulator and a real S3 server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aioboto3
import httpx
import pytest

from app.adapters.bedrock import batch
from app.adapters.bedrock.batch import BatchPlace, BedrockBatchJobs, open_batch_jobs
from app.adapters.bedrock.codecs import batch as codec
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.sources import s3
from app.domain.batch_job import (
    BatchJob,
    BatchJobName,
    BatchJobRules,
    BatchJobStatus,
    RecordCounts,
    RecordResult,
)
from app.domain.errors import (
    BatchEngineError,
    ModelFailedError,
    UpstreamDisconnectedError,
    UpstreamValidationError,
)
from app.domain.generation import ModelRequest, Role, Sampling, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.model import Dialect
from app.emulator.batch.job import ENDS
from app.emulator.config import EmulatorConfig
from tests.support.emulator.serving import Served, serving
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.s3 import make_bucket, s3_client, s3_server

BUCKET = "batch-jobs"
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
PICTURE = PreparedImage(ASTRONAUT, ImageType.PNG, 512, 512, "")
BOTH = pytest.mark.parametrize("dialect", [Dialect.INVOKE, Dialect.CONVERSE])


@dataclass
class World:
    """An emulator and the S3 server that it shares with the service."""

    emulator: Served
    s3: Any
    place: BatchPlace = field(
        default_factory=lambda: BatchPlace(BUCKET, "llm/", "arn:aws:iam::123456789012:role/batch")
    )

    def jobs(
        self,
        dialect: Dialect = Dialect.INVOKE,
        rules: BatchJobRules | None = None,
        prefix: str = "llm/",
    ) -> AbstractAsyncContextManager[BedrockBatchJobs]:
        place = BatchPlace(BUCKET, prefix, self.place.role)
        return open_batch_jobs(
            aioboto3.Session(),
            Connection("us-east-1", self.emulator.url),
            s3.Connection("us-east-1", self.s3.meta.endpoint_url),
            (MODEL, dialect),
            place,
            rules or BatchJobRules(),
        )

    def listed(self, name: str) -> list[Any]:
        url = f"{self.emulator.url}/model-invocation-jobs?nameContains={name}"
        return list(httpx.get(url).json()["invocationJobSummaries"])

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with s3_server() as url:
        client = s3_client(url)
        make_bucket(client, BUCKET)
        config = EmulatorConfig(s3_endpoint=url, batch_seconds=0, batch_least_records=2)
        with serving(config) as emulator:
            yield World(emulator, client)
        client.close()


def new() -> BatchJobName:
    return BatchJobName(f"batch-{uuid4().hex[:12]}", uuid4().hex)


async def asked(*texts: str, picture: bool = False) -> AsyncIterator[tuple[int, ModelRequest]]:
    images = (PICTURE,) if picture else ()
    for number, text in enumerate(texts):
        turn = Turn(Role.USER, text, images)
        yield number, ModelRequest((turn,), sampling=Sampling(temperature=0))


async def ended(jobs: BedrockBatchJobs, job_id: str) -> BatchJob:
    async with asyncio.timeout(60):
        job = await jobs.status(job_id)
        while job.status is BatchJobStatus.RUNNING:
            await asyncio.sleep(0.05)
            job = await jobs.status(job_id)
    return job


async def ran(jobs: BedrockBatchJobs, name: BatchJobName, *texts: str, **more: Any) -> BatchJob:
    await jobs.write(name, asked(*texts, **more))
    return await ended(jobs, await jobs.start(name))


async def results(jobs: BedrockBatchJobs, name: BatchJobName, job: BatchJob) -> list[RecordResult]:
    return [result async for result in jobs.results(name, job.id)]


@BOTH
async def test_each_record_is_answered_about_its_picture(world: World, dialect: Dialect) -> None:
    name = new()
    async with world.jobs(dialect) as jobs:
        job = await ran(jobs, name, "What is this?", "How bright is it?", picture=True)
        found = await results(jobs, name, job)
        counts = await jobs.counts(name, job.id)

    assert job.status is BatchJobStatus.COMPLETED
    assert [result.record for result in found] == [0, 1]
    for result in found:
        assert result.completion is not None
        assert "No picture" not in result.completion.text
        assert (result.completion.usage.prompt_token_count or 0) > 0
        assert result.completion.stop_reason.value == "stop"
    assert counts == job.counts == RecordCounts(2, 2, 2, 0)


@BOTH
@pytest.mark.parametrize("part", ENDS)
async def test_each_final_state_is_reported_with_bedrocks_message(
    world: World, dialect: Dialect, part: str
) -> None:
    raw, message = ENDS[part]
    name = new()
    async with world.jobs(dialect, prefix=f"{part}/") as jobs:
        job = await ran(jobs, name, "One?", "Two?", "Three?", "Four?")
        found = await results(jobs, name, job)

    assert (job.raw_status, job.message) == (raw, message)
    assert job.status.value.replace("_", "") == raw.lower()
    # The processed records are delivered.
    half = job.status in (BatchJobStatus.PARTIALLY_COMPLETED, BatchJobStatus.STOPPED)
    assert [result.record for result in found] == ([0, 1] if half else [])


async def test_a_records_error_is_the_error_that_a_call_would_raise(world: World) -> None:
    name = new()
    async with world.jobs(prefix="record-errors/") as jobs:
        job = await ran(jobs, name, "One?", "Two?", "Three?")
        found = await results(jobs, name, job)

    assert [type(result.error) for result in found] == [type(None), type(None), ModelFailedError]
    assert job.counts == RecordCounts(3, 3, 2, 1)


async def test_after_a_lost_reply_the_job_is_found_again(world: World) -> None:
    name = new()
    fault = {"fault": "drop-first-1", "operation": "CreateModelInvocationJob"}
    async with world.jobs() as jobs:
        await jobs.write(name, asked("One?", "Two?"))
        world.emulator.admin("POST", "faults", json=fault)
        with pytest.raises(UpstreamDisconnectedError):
            await jobs.start(name)
        job_id = await jobs.start(name)
        assert await jobs.start(name) == job_id

    listed = world.listed(name.name)
    assert [job["jobArn"] for job in listed] == [job_id]
    assert listed[0]["modelInvocationType"] == "InvokeModel"


async def test_records_are_split_into_files_within_the_quota(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART_BYTES", 6 * 2**20)
    name = new()
    rules = BatchJobRules(file_bytes=16 * 2**20)
    texts = [f"{number}?" for number in range(40)]
    async with world.jobs(rules=rules) as jobs:
        assert await jobs.write(name, asked(*texts, picture=True)) == 40
        files = world.keys(f"llm/{name.name}/input/")
        job = await ended(jobs, await jobs.start(name))
        found = await results(jobs, name, job)

    sizes = [world.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] for key in files]
    assert len(files) > 1
    assert max(sizes) <= 16 * 2**20
    assert sorted(result.record for result in found) == list(range(40))


@pytest.mark.parametrize("rules", [BatchJobRules(most_records=2), BatchJobRules(job_bytes=200)])
async def test_records_outside_a_jobs_quotas_are_refused(
    world: World, rules: BatchJobRules
) -> None:
    name = new()
    async with world.jobs(rules=rules) as jobs:
        with pytest.raises(BatchEngineError):
            await jobs.write(name, asked("One?", "Two?", "Three?"))


async def test_records_written_again_replace_the_first(world: World) -> None:
    name = new()
    rules = BatchJobRules(file_bytes=300)
    async with world.jobs(rules=rules) as jobs:
        await jobs.write(name, asked("One?", "Two?", "Three?"))
        await jobs.write(name, asked("Four?", "Five?"))
        job = await ended(jobs, await jobs.start(name))
        found = await results(jobs, name, job)

    assert job.counts == RecordCounts(2, 2, 2, 0)
    assert "Four?" in (found[0].completion.text if found[0].completion else "")


async def test_removing_a_job_empties_its_folder_in_the_bucket(world: World) -> None:
    name = new()
    async with world.jobs() as jobs:
        await ran(jobs, name, "One?", "Two?")
        assert len(world.keys(f"llm/{name.name}/")) == 3
        await jobs.remove(name)

    assert world.keys(f"llm/{name.name}/") == []


async def test_stopping_a_job_that_has_ended_changes_nothing(world: World) -> None:
    name = new()
    async with world.jobs() as jobs:
        job = await ran(jobs, name, "One?", "Two?")
        await jobs.stop(job.id)
        with pytest.raises(UpstreamValidationError):
            await jobs.start(BatchJobName("-", name.token))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"recordId":"theirs","modelOutput":{}}',
        b'{"recordId":17}',
        b'{"recordId":"R00000000x1","modelOutput":{}}',
    ],
)
def test_an_unknown_line_of_the_output_is_skipped(line: bytes) -> None:
    assert codec.from_line(line, Dialect.INVOKE) is None


@pytest.mark.parametrize(
    ("said", "retryable"),
    [
        ('{"errorCode":429,"errorMessage":"slow down"}', True),
        ('{"errorCode":"ThrottlingException","errorMessage":"slow down"}', True),
        ('{"errorCode":"503"}', True),
        ('{"errorCode":400,"errorMessage":"no such key"}', False),
        ("null", False),
    ],
)
def test_errors_are_recognised_in_any_spelling(said: str, retryable: bool) -> None:
    line = f'{{"recordId":"R0000000001","error":{said}}}'.encode()
    result = codec.from_line(line, Dialect.INVOKE)
    assert result is not None
    assert result.error is not None
    assert result.error.retryable is retryable


def test_an_output_that_is_not_an_answer_is_an_error_of_its_record() -> None:
    line = b'{"recordId":"R0000000001","modelOutput":{"odd":1}}'
    result = codec.from_line(line, Dialect.INVOKE)
    assert result is not None
    assert result.error is not None
    assert result.error.code == "upstream_answer_unreadable"
