"""Batches as Bedrock's own batch jobs: chosen, written, watched, and their answers given to rows.

A batch that becomes a batch job has no rows on the queue until the job has ended. Then each row is
put there with the answer that the job had for it, and is answered by its endpoint like any other;
rows for which the job has no answer, or an error, are asked by calls of our own.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from app.domain.batch import Batch, BatchEngine, NativeJob, NativePhase
from app.domain.batch_job import BatchJob, BatchJobName, BatchJobStatus
from app.domain.errors import BatchEngineError, ServiceError, UpstreamError
from app.domain.generation import Completion, ModelRequest
from app.domain.ports import BatchJobs, WorkQueue
from app.domain.work import NewWork
from app.services.batches import kept_completion, record
from app.services.batches.row import Place

ENDPOINTS = ("/v1/generate", "/v1/chat/completions")
"""Endpoints whose rows are plain generations."""
NEEDS_PLACES = (NativePhase.WRITING, NativePhase.COLLECTING)
"""Phases in which the rows of the input are read."""
_CHUNK = 200
_WITHOUT_RESULTS = (BatchJobStatus.FAILED, BatchJobStatus.EXPIRED)

log = structlog.get_logger()


class Hold(Protocol):
    """One process's hold on a batch, as its keeper has it."""

    batch: Batch

    async def check(self) -> None:
        """Raise an error where it is another's by now."""
        ...

    async def change(self, batch: Batch) -> None:
        """Keep ``batch``."""
        ...


Capture = Callable[[Batch, Place, int], Awaitable[ModelRequest | None]]
"""Tells what the model is to be asked for a row; None for a row that is no plain generation."""


@dataclass(slots=True)
class NativeBatches:
    """Has Bedrock's batch jobs do batches that they can do."""

    queue: WorkQueue
    jobs: BatchJobs | None
    unavailable: str | None
    """Why no batch job can be made of any batch; None where one can."""
    least: int
    """Fewest records of a job: the account's quota."""
    poll: float
    """Seconds between two looks at a job."""
    capture: Capture
    _looked: dict[str, float] = field(default_factory=dict)
    """When each batch's job was looked at last, by the monotonic clock."""

    def reason(self, batch: Batch, rows: int) -> str | None:
        """Return why ``batch`` becomes no batch job; None where it does."""
        if batch.engine is BatchEngine.OWN:
            return "the caller chose this service's own queue"
        return self.unavailable or endpoint_reason(batch.endpoint) or self._too_few(rows)

    def _too_few(self, rows: int) -> str | None:
        if rows >= self.least:
            return None
        return f"{rows:,} rows can be records; the quota asks for {self.least:,} at least"

    def begun(self, batch: Batch) -> NativeJob:
        """Return the job that ``batch`` becomes; its token is kept before the job is asked for."""
        identity = batch.id.replace("_", "-")[-56:]
        return NativeJob(name=f"batch-{identity.removeprefix('batch-')}"[:63], token=identity)

    def due(self, batch: Batch, *, ends: bool) -> bool:
        """Tell whether it is time to look at the batch's job: soon where the batch ``ends``."""
        native = batch.native
        if native is None or native.phase is not NativePhase.RUNNING:
            return True
        wait = min(self.poll, 1) if ends else self.poll
        return time.monotonic() - self._looked.get(batch.id, float("-inf")) >= wait

    async def advance(self, hold: Hold, places: Sequence[Place]) -> None:
        """Bring the batch's job one step on.

        Raises BatchEngineError where the job can't be made or came to nothing, with the reason;
        UpstreamError where Bedrock can't be asked now.
        """
        native, jobs = hold.batch.native, self.jobs
        if native is None or jobs is None:
            raise BatchEngineError(self.unavailable or "batch jobs are not available any more")
        name = BatchJobName(native.name, native.token)
        match native.phase:
            case NativePhase.WRITING:
                written = await jobs.write(name, self._requests(hold, places))
                if (reason := self._too_few(written)) is not None:
                    raise BatchEngineError(reason)
                await self._keep(hold, NativePhase.STARTING)
            case NativePhase.STARTING:
                # Asked for before, it is the same job.
                job_id = await self._started(jobs, name)
                await self._keep(hold, NativePhase.RUNNING, job_id=job_id)
            case NativePhase.RUNNING:
                await self._watch(hold, jobs, native)
            case NativePhase.COLLECTING:
                await self._collect(hold, jobs, places)

    async def _started(self, jobs: BatchJobs, name: BatchJobName) -> str:
        try:
            return await jobs.start(name)
        except UpstreamError as error:
            # After one that may have been billed there may be a job, which is asked for again.
            if error.retryable or error.billed:
                raise
            raise BatchEngineError(
                f"Amazon Bedrock refused the batch job: {error.detail}"
            ) from error

    async def _keep(self, hold: Hold, phase: NativePhase, **changes: str | None) -> None:
        native = hold.batch.native
        assert native is not None
        changed = replace(native, phase=phase, **changes)  # type: ignore[arg-type] # texts of it
        await hold.change(replace(hold.batch, native=changed))

    async def _requests(
        self, hold: Hold, places: Sequence[Place]
    ) -> AsyncIterator[tuple[int, ModelRequest]]:
        for position, place in enumerate(places):
            await hold.check()
            request = await self.capture(hold.batch, place, position)
            if request is not None:
                yield position, request

    async def _watch(self, hold: Hold, jobs: BatchJobs, native: NativeJob) -> None:
        batch = hold.batch
        assert native.job_id is not None
        self._looked[batch.id] = time.monotonic()
        job = await jobs.status(native.job_id)
        if job.status is BatchJobStatus.RUNNING:
            if batch.ends and job.raw_status != "Stopping":
                await jobs.stop(native.job_id)
            if job.raw_status != native.status:
                await self._keep(hold, NativePhase.RUNNING, status=job.raw_status)
            return
        self._looked.pop(batch.id, None)
        log.info("batch job ended", batch=batch.id, status=job.raw_status)
        if job.status in _WITHOUT_RESULTS and not batch.ends:
            await self._keep(hold, native.phase, status=job.raw_status, message=job.message)
            raise BatchEngineError(told(job))
        await self._keep(hold, NativePhase.COLLECTING, status=job.raw_status, message=job.message)

    async def _collect(self, hold: Hold, jobs: BatchJobs, places: Sequence[Place]) -> None:
        """Put the rows on the queue, each with its answer where there is one."""
        native = hold.batch.native
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
                await self._put(hold, chunk)
                chunk = []
        if not hold.batch.ends:
            # Asked by calls: what the job had no answer to, or an error.
            chunk += [NewWork(n, place.kept()) for n, place in enumerate(places) if not put[n]]
        for start in range(0, len(chunk), _CHUNK):
            await self._put(hold, chunk[start : start + _CHUNK])
        await self._keep(hold, NativePhase.ROWS)
        await self.remove(hold.batch)

    async def _put(self, hold: Hold, chunk: list[NewWork]) -> None:
        await self.queue.put(record.group(hold.batch), chunk)
        await hold.check()

    async def remove(self, batch: Batch) -> None:
        """Delete what the batch's job has in S3; what can't be deleted is told in the log."""
        if self.jobs is None or batch.native is None:
            return
        try:
            await self.jobs.remove(BatchJobName(batch.native.name, batch.native.token))
        except ServiceError as error:
            log.warning("a batch job's files are left", batch=batch.id, reason=error.detail)


def _row(position: int, place: Place, completion: Completion) -> NewWork:
    return NewWork(position, replace(place, completion=kept_completion.written(completion)).kept())


def endpoint_reason(endpoint: str) -> str | None:
    """Return why rows of ``endpoint`` can't be records; None where they can."""
    if endpoint in ENDPOINTS:
        return None
    return f"rows of {endpoint} are no plain generations; those of {', '.join(ENDPOINTS)} are"


def told(job: BatchJob) -> str:
    """Return what Bedrock says of a job, for the caller."""
    message = f": {job.message}" if job.message else ""
    return f"Amazon Bedrock's batch job ended as {job.raw_status}{message}"
