"""Runs batches as Bedrock batch jobs: starts and polls the jobs, and collects their answers.

A batch that becomes a batch job has no rows on the queue until the job has ended. Then each row is
queued with the job's answer and goes through its endpoint like any other row. Rows without an
answer, or with an error, are sent to the model by this service's own calls.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from app.domain.batch import Batch, BatchEngine, NativeJob, NativePhase
from app.domain.batch_job import BatchJob, BatchJobName, BatchJobStatus
from app.domain.errors import BatchEngineError, ServiceError, UpstreamError
from app.domain.generation import Completion, ModelRequest
from app.domain.ports import BatchJobs, WorkQueue
from app.domain.work import NewWork
from app.services.batches import kept_completion, record
from app.services.batches.claim import Claim
from app.services.batches.row import Place

ENDPOINTS = ("/v1/generate", "/v1/chat/completions")
"""Endpoints whose rows are plain generations."""
NEEDS_PLACES = (NativePhase.WRITING, NativePhase.COLLECTING)
"""Phases that read the rows of the input."""
_CHUNK = 200
_WITHOUT_RESULTS = (BatchJobStatus.FAILED, BatchJobStatus.EXPIRED)

log = structlog.get_logger()


Capture = Callable[[Batch, Place, int], Awaitable[ModelRequest | None]]
"""Returns the model request of a row; None if the row is not a plain generation."""


@dataclass(slots=True)
class NativeBatches:
    """Runs eligible batches as Bedrock batch jobs."""

    queue: WorkQueue
    jobs: BatchJobs | None
    unavailable: str | None
    """Why batch jobs are unavailable; None if they are available."""
    least: int
    """Minimum number of records per job, from the account's quota."""
    poll: float
    """Seconds between two status polls of a job."""
    capture: Capture
    _looked: dict[str, float] = field(default_factory=dict)
    """Monotonic time of the last status poll, by batch id."""

    def reason(self, batch: Batch, rows: int) -> str | None:
        """Return why ``batch`` can't become a batch job; None if it does."""
        if batch.engine is BatchEngine.OWN:
            return "the caller chose this service's own queue"
        return self.unavailable or endpoint_reason(batch.endpoint) or self._too_few(rows)

    def _too_few(self, rows: int) -> str | None:
        if rows >= self.least:
            return None
        return f"{rows:,} rows can be records; the quota asks for {self.least:,} at least"

    def begun(self, batch: Batch) -> NativeJob:
        """Return the job record of ``batch``, stored before the job is created, for its token."""
        identity = batch.id.replace("_", "-")[-56:]
        return NativeJob(name=f"batch-{identity.removeprefix('batch-')}"[:63], token=identity)

    def due(self, batch: Batch, *, ends: bool) -> bool:
        """Return whether the batch's job is due for a step; sooner if the batch ``ends``."""
        native = batch.native
        if native is None or native.phase is not NativePhase.RUNNING:
            return True
        wait = min(self.poll, 1) if ends else self.poll
        return time.monotonic() - self._looked.get(batch.id, float("-inf")) >= wait

    async def advance(self, claim: Claim, places: Sequence[Place]) -> None:
        """Advance the batch's job by one step.

        Raises BatchEngineError, with the reason, if the job can't be created or failed, and
        UpstreamError if Bedrock is unavailable.
        """
        native, jobs = claim.batch.native, self.jobs
        if native is None or jobs is None:
            raise BatchEngineError(self.unavailable or "batch jobs are no longer available")
        name = BatchJobName(native.name, native.token)
        match native.phase:
            case NativePhase.WRITING:
                written = await jobs.write(name, self._requests(claim, places))
                if (reason := self._too_few(written)) is not None:
                    raise BatchEngineError(reason)
                await self._keep(claim, NativePhase.STARTING)
            case NativePhase.STARTING:
                # If the job was already requested, its token makes this the same job.
                job_id = await self._started(jobs, name)
                await self._keep(claim, NativePhase.RUNNING, job_id=job_id)
            case NativePhase.RUNNING:
                await self._watch(claim, jobs, native)
            case NativePhase.COLLECTING:
                await self._collect(claim, jobs, places)

    async def _started(self, jobs: BatchJobs, name: BatchJobName) -> str:
        try:
            return await jobs.start(name)
        except UpstreamError as error:
            # After a possibly billed error the job may exist: the same request is repeated later.
            if error.retryable or error.billed:
                raise
            raise BatchEngineError(
                f"Amazon Bedrock refused the batch job: {error.detail}"
            ) from error

    async def _keep(self, claim: Claim, phase: NativePhase, **changes: str | None) -> None:
        native = claim.batch.native
        assert native is not None
        changed = replace(native, phase=phase, **changes)  # type: ignore[arg-type] # all of them text fields
        await claim.change(replace(claim.batch, native=changed))

    async def _requests(
        self, claim: Claim, places: Sequence[Place]
    ) -> AsyncIterator[tuple[int, ModelRequest]]:
        for position, place in enumerate(places):
            await claim.check()
            request = await self.capture(claim.batch, place, position)
            if request is not None:
                yield position, request

    async def _watch(self, claim: Claim, jobs: BatchJobs, native: NativeJob) -> None:
        batch = claim.batch
        assert native.job_id is not None
        self._looked[batch.id] = time.monotonic()
        job = await jobs.status(native.job_id)
        if job.status is BatchJobStatus.RUNNING:
            if batch.ends and job.raw_status != "Stopping":
                await jobs.stop(native.job_id)
            if job.raw_status != native.status:
                await self._keep(claim, NativePhase.RUNNING, status=job.raw_status)
            return
        self._looked.pop(batch.id, None)
        log.info("batch job ended", batch=batch.id, status=job.raw_status)
        if job.status in _WITHOUT_RESULTS and not batch.ends:
            await self._keep(claim, native.phase, status=job.raw_status, message=job.message)
            raise BatchEngineError(outcome(job))
        await self._keep(claim, NativePhase.COLLECTING, status=job.raw_status, message=job.message)

    async def _collect(self, claim: Claim, jobs: BatchJobs, places: Sequence[Place]) -> None:
        """Put the rows on the queue, each with the job's answer if it has one."""
        native = claim.batch.native
        assert native is not None
        assert native.job_id is not None
        name = BatchJobName(native.name, native.token)
        put = bytearray(len(places))
        chunk: list[NewWork] = []
        async for result in jobs.results(name, native.job_id):
            if result.completion is None or not 0 <= result.record < len(places):
                continue
            if put[result.record]:
                continue
            put[result.record] = 1
            chunk.append(_row(result.record, places[result.record], result.completion))
            if len(chunk) >= _CHUNK:
                await self._put(claim, chunk)
                chunk = []
        if not claim.batch.ends:
            # Rows without an answer, or with an error, are asked by calls.
            chunk += [NewWork(n, place.kept()) for n, place in enumerate(places) if not put[n]]
        for start in range(0, len(chunk), _CHUNK):
            await self._put(claim, chunk[start : start + _CHUNK])
        await self._keep(claim, NativePhase.ROWS)
        await self.remove(claim.batch)

    async def _put(self, claim: Claim, chunk: list[NewWork]) -> None:
        await self.queue.put(record.group(claim.batch), chunk)
        await claim.check()

    async def remove(self, batch: Batch) -> None:
        """Delete the job's objects in S3; a failure is logged."""
        if self.jobs is None or batch.native is None:
            return
        try:
            await self.jobs.remove(BatchJobName(batch.native.name, batch.native.token))
        except ServiceError as error:
            log.warning("a batch job's files were not deleted", batch=batch.id, reason=error.detail)


def _row(position: int, place: Place, completion: Completion) -> NewWork:
    return NewWork(position, replace(place, completion=kept_completion.written(completion)).kept())


def endpoint_reason(endpoint: str) -> str | None:
    """Return why rows of ``endpoint`` can't be records; None if they can."""
    if endpoint in ENDPOINTS:
        return None
    return f"only rows of {', '.join(ENDPOINTS)} can be records of a batch job"


def outcome(job: BatchJob) -> str:
    """Return Bedrock's final status and message of a job, for the caller."""
    message = f": {job.message}" if job.message else ""
    return f"Amazon Bedrock's batch job ended as {job.raw_status}{message}"
