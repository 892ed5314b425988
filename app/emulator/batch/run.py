"""One job's run: validated, scheduled, answered record by record, written to S3."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

import orjson

from app.emulator.batch import request
from app.emulator.batch.bucket import Bucket, UnreadableError, opened
from app.emulator.batch.job import ENDS, RECORD_ERRORS, InvocationJob
from app.emulator.batch.records import Records
from app.emulator.config import EmulatorConfig

MOST_RECORDS = 50_000
MOST_FILE_BYTES = 2**30
MOST_JOB_BYTES = 5 * 2**30
_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """Runs jobs one after another or concurrently."""

    config: EmulatorConfig
    records: Records
    now: Callable[[], float]

    async def through(self, job: InvocationJob) -> None:
        """Run ``job`` to its end."""
        try:
            async with opened(self.config.s3_endpoint, self.config.region) as bucket:
                await self._through(job, bucket)
        except UnreadableError as error:
            job.become("Failed", self.now(), str(error)[:2048])
        except Exception:
            job.become("Failed", self.now(), "The job failed because of a fault of the emulator.")
            raise

    async def _through(self, job: InvocationJob, bucket: Bucket) -> None:
        status, message = next((ENDS[part] for part in job.parts if part in ENDS), ("", ""))
        await self._step(job, "Validating")
        if status == "Failed":
            raise UnreadableError(message)
        files = await self._validated(job, bucket)
        await self._step(job, "Scheduled")
        if status == "Expired":
            job.become(status, self.now(), message)
            return
        await self._step(job, "InProgress")
        most = job.total // 2 if status in ("PartiallyCompleted", "Stopped") else job.total
        await self._answer(job, bucket, files, most)
        if job.status == "Stopping":
            status = "Stopped"
        job.become(status or "Completed", self.now(), message or None)

    async def _step(self, job: InvocationJob, status: str) -> None:
        """Change to ``status`` after a quarter of the job's time, unless it is being stopped."""
        await asyncio.sleep(self.config.batch_seconds / 4)
        if job.status != "Stopping":
            job.become(status, self.now())

    async def _validated(self, job: InvocationJob, bucket: Bucket) -> list[str]:
        source = request.source(job.asked)
        files = await bucket.files(source)
        if not files:
            raise UnreadableError("There is no file at the input's S3 location.")
        if wrong := [key for key in files if not key.endswith(_SUFFIX)]:
            raise UnreadableError(f"The input file {wrong[0]} does not end in {_SUFFIX}.")
        if max(files.values()) > MOST_FILE_BYTES or sum(files.values()) > MOST_JOB_BYTES:
            raise UnreadableError("The input is larger than the service quota for it.")
        for key in files:
            number = 0
            async for line in bucket.lines(source.bucket, key):
                number += 1
                _record(line, f"{PurePosixPath(key).name} line {number}")
                job.total += 1
        job.counted = True
        if not self.config.batch_least_records <= job.total <= MOST_RECORDS:
            raise UnreadableError(
                f"The input has {job.total} records; the service quota asks for"
                f" {self.config.batch_least_records} to {MOST_RECORDS}."
            )
        return list(files)

    async def _answer(
        self, job: InvocationJob, bucket: Bucket, files: list[str], most: int
    ) -> None:
        source, target = request.source(job.asked), request.target(job.asked)
        folder = f"{target.key.rstrip('/')}/{job.id}".removeprefix("/")
        numbers = count()
        for key in files:
            with tempfile.TemporaryFile() as output:
                async for line in bucket.lines(source.bucket, key):
                    number = next(numbers)
                    if number >= most or job.status == "Stopping":
                        break
                    output.write(await self._line(job, line, number))
                output.seek(0)
                name = f"{folder}/{PurePosixPath(key).name}.out"
                await bucket.put(target.bucket, name, output)
        manifest = orjson.dumps(
            {
                "totalRecordCount": job.total,
                "processedRecordCount": job.succeeded + job.failed,
                "successRecordCount": job.succeeded,
                "errorRecordCount": job.failed,
            }
        )
        await bucket.put(target.bucket, f"{folder}/manifest.json.out", manifest)

    async def _line(self, job: InvocationJob, line: bytes, number: int) -> bytes:
        record = _record(line, str(number))
        record.setdefault("recordId", uuid4().hex[:11].upper())
        answered = await self.records.answered(
            record,
            job.asked["modelId"],
            as_converse=job.asked.get("modelInvocationType") == "Converse",
            failing=RECORD_ERRORS in job.parts and number % 3 == 2,
        )
        if "error" in answered:
            job.failed += 1
        else:
            job.succeeded += 1
        return orjson.dumps(answered) + b"\n"


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise UnreadableError(f"{where} is not JSON.") from None
    if not isinstance(record, dict) or not isinstance(record.get("modelInput"), dict):
        raise UnreadableError(f"{where} has no modelInput.")
    return record
