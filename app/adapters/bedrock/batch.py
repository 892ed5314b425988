"""Bedrock's batch inference jobs behind the BatchJobs port.

Records go to S3 in files of at most the quota's size; the job is made, looked at and stopped over
the control plane; results are read line by line. Source: AWS's user guide on batch inference.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aioboto3
from botocore.exceptions import ClientError

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs import batch
from app.adapters.bedrock.control_plane import ControlPlane, open_control_plane
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
    UpstreamAccessDeniedError,
    UpstreamError,
    UpstreamValidationError,
)
from app.domain.generation import ModelRequest
from app.domain.model import Dialect

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

PART_BYTES = 8 * 2**20
"""Bytes of one part of an upload; S3 takes 5 MiB or more, and all of one is in memory."""
LARGE_LINE = 2**20
"""Bytes of a line from which it is written or read off the event loop."""
_READ_BYTES = 2**18
_HOURS = 24


_REFUSED = (403, 404)


@contextmanager
def _storage() -> Iterator[None]:
    """Raise S3's refusals as an UpstreamError that names S3, other errors as for Bedrock."""
    with errors.translated():
        try:
            yield
        except ClientError as error:
            response: Any = error.response
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status not in _REFUSED:
                raise
            code = response.get("Error", {}).get("Code", "")
            raise UpstreamAccessDeniedError(
                f"Amazon S3 answered {code} for the batch jobs' location. The operator should "
                "check LLAMA_VISION_BATCH_JOBS_LOCATION and the service's rights to it."
            ) from error


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """The place where jobs read and write, and the role that they assume."""

    bucket: str
    prefix: str
    """Empty, or with a slash at its end."""
    role: str
    """ARN of the role that Bedrock reads and writes with."""
    kms_key: str | None = None
    hours: int = _HOURS
    """Hours after which Bedrock gives a job up, 24 to 168."""


@dataclass(frozen=True, slots=True)
class BedrockBatchJobs:
    """Batch inference jobs of one model in one region."""

    control: ControlPlane
    client: "S3Client"
    model_id: str
    dialect: Dialect
    place: BatchPlace
    rules: BatchJobRules = field(default_factory=BatchJobRules)

    async def write(
        self, job: BatchJobName, requests: AsyncIterator[tuple[int, ModelRequest]]
    ) -> int:
        """Write the records; see `app.domain.ports.BatchJobs`."""
        await self._delete(self._input(job))
        written = _Written(self, job)
        try:
            async for record, request in requests:
                await written.add(await self._line(record, request))
            await written.close()
        except BaseException:
            await written.abandon()
            raise
        return written.records

    async def _line(self, record: int, request: ModelRequest) -> bytes:
        size = sum(len(image.data) for turn in request.turns for image in turn.images)
        if size < LARGE_LINE:
            return batch.to_line(record, request, self.dialect)
        return await asyncio.to_thread(batch.to_line, record, request, self.dialect)

    async def start(self, job: BatchJobName) -> str:
        """Start the job, or find it by its token; return its ARN."""
        output: dict[str, Any] = {"s3Uri": self._uri(self._output(job))}
        if self.place.kms_key is not None:
            output["s3EncryptionKeyId"] = self.place.kms_key
        source = {"s3Uri": self._uri(self._input(job)), "s3InputFormat": "JSONL"}
        answer = await self.control.post(
            "model-invocation-job",
            body={
                "jobName": job.name,
                "clientRequestToken": job.token,
                "roleArn": self.place.role,
                "modelId": self.model_id,
                "modelInvocationType": batch.INVOCATION_TYPES[self.dialect],
                "inputDataConfig": {"s3InputDataConfig": source},
                "outputDataConfig": {"s3OutputDataConfig": output},
                "timeoutDurationInHours": self.place.hours,
            },
        )
        arn = answer.get("jobArn")
        if not isinstance(arn, str):
            raise UpstreamError("Amazon Bedrock began a batch job and did not return its ARN.")
        return arn

    async def status(self, job_id: str) -> BatchJob:
        """Return the job's state."""
        return batch.from_job(await self.control.get("model-invocation-job", job_id))

    async def stop(self, job_id: str) -> None:
        """Ask the job to stop; a job that has already ended is unchanged."""
        try:
            await self.control.post("model-invocation-job", job_id, "stop")
        except UpstreamValidationError:
            if (await self.status(job_id)).status is BatchJobStatus.RUNNING:
                raise

    async def results(self, job: BatchJobName, job_id: str) -> AsyncIterator[RecordResult]:
        """Yield the results there are, one line at a time."""
        folder = f"{self._output(job)}{job_id.rpartition('/')[2]}/"
        with _storage():
            for key in await self._keys(folder):
                if key.endswith(".jsonl.out"):
                    async for line in self._lines(key):
                        result = await self._result(line)
                        if result is not None:
                            yield result

    async def _result(self, line: bytes) -> RecordResult | None:
        if len(line) < LARGE_LINE:
            return batch.from_line(line, self.dialect)
        return await asyncio.to_thread(batch.from_line, line, self.dialect)

    async def _lines(self, key: str) -> AsyncIterator[bytes]:
        reply = await self.client.get_object(Bucket=self.place.bucket, Key=key)
        body = reply["Body"]
        async with body:  # what this yields reads no lines
            async for line in body.iter_lines(chunk_size=_READ_BYTES):
                yield line

    async def counts(self, job: BatchJobName, job_id: str) -> RecordCounts | None:
        """Return the counts in the job's manifest; None if there is none."""
        key = f"{self._output(job)}{job_id.rpartition('/')[2]}/manifest.json.out"
        with _storage():
            if key not in await self._keys(key):
                return None
            reply = await self.client.get_object(Bucket=self.place.bucket, Key=key)
            content = await reply["Body"].read()
        return batch.from_manifest(content)

    async def remove(self, job: BatchJobName) -> None:
        """Delete the job's records and results."""
        await self._delete(self._folder(job))

    async def _delete(self, prefix: str) -> None:
        with _storage():
            for key in await self._keys(prefix):
                await self.client.delete_object(Bucket=self.place.bucket, Key=key)

    async def _keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.place.bucket, Prefix=prefix
        )
        return [entry["Key"] async for page in pages for entry in page.get("Contents", [])]

    def _folder(self, job: BatchJobName) -> str:
        return f"{self.place.prefix}{job.name}/"

    def _input(self, job: BatchJobName) -> str:
        return f"{self._folder(job)}input/"

    def _output(self, job: BatchJobName) -> str:
        return f"{self._folder(job)}output/"

    def _uri(self, key: str) -> str:
        return f"s3://{self.place.bucket}/{key}"


@dataclass(slots=True)
class _Written:
    """Records on their way to S3, a part of a file at a time."""

    jobs: BedrockBatchJobs
    job: BatchJobName
    records: int = 0
    _files: int = 0
    _file_bytes: int = 0
    _job_bytes: int = 0
    _part: bytearray = field(default_factory=bytearray)
    _parts: list[Any] = field(default_factory=list)
    _upload: str | None = None

    async def add(self, line: bytes) -> None:
        """Add a line; a file that would be too long is ended before it."""
        rules = self.jobs.rules
        self.records += 1
        self._job_bytes += len(line)
        if self.records > rules.most_records or self._job_bytes > rules.job_bytes:
            raise BatchEngineError(
                f"a Bedrock batch job takes at most {rules.most_records:,} records and "
                f"{rules.job_bytes:,} bytes, pictures included"
            )
        if self._file_bytes + len(line) > rules.file_bytes:
            await self.close()
        self._file_bytes += len(line)
        self._part += line
        if len(self._part) >= PART_BYTES:
            await self._flush()

    async def close(self) -> None:
        """End the file, if there is one."""
        if not self._file_bytes:
            return
        name, client = self._name(), self.jobs.client
        with _storage():
            if self._upload is None:
                await client.put_object(**name, Body=bytes(self._part))
            else:
                await self._flush()
                await client.complete_multipart_upload(
                    **name, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
                )
        self._files += 1
        self._file_bytes, self._part, self._parts, self._upload = 0, bytearray(), [], None

    async def abandon(self) -> None:
        """Abort the upload, whose parts S3 would keep and charge for."""
        if self._upload is not None:
            with _storage():
                await self.jobs.client.abort_multipart_upload(**self._name(), UploadId=self._upload)

    async def _flush(self) -> None:
        if not self._part:
            return
        name, client = self._name(), self.jobs.client
        with _storage():
            if self._upload is None:
                self._upload = (await client.create_multipart_upload(**name))["UploadId"]
            number = len(self._parts) + 1
            reply = await client.upload_part(
                **name, UploadId=self._upload, PartNumber=number, Body=bytes(self._part)
            )
        self._parts.append({"ETag": reply["ETag"], "PartNumber": number})
        self._part = bytearray()

    def _name(self) -> Any:  # noqa: ANN401 - two members of several operations
        key = f"{self.jobs._input(self.job)}records-{self._files:03d}.jsonl"  # noqa: SLF001 - its own
        return {"Bucket": self.jobs.place.bucket, "Key": key}


@asynccontextmanager
async def open_batch_jobs(
    session: aioboto3.Session,
    bedrock: Connection,
    storage: s3.Connection,
    model: tuple[str, Dialect],
    place: BatchPlace,
    rules: BatchJobRules,
) -> AsyncIterator[BedrockBatchJobs]:
    """Open batch jobs of one ``model``, its id and dialect."""
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(open_control_plane(session, bedrock))
        client = await stack.enter_async_context(s3.open_client(session, storage))
        yield BedrockBatchJobs(control, client, *model, place, rules)
