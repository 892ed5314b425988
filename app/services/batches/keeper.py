"""Moves batches from state to state: validates their input, ends them, writes their files.

Every process has a keeper. A long step first claims its batch by a versioned change that only one
process can make. Another process completes whatever a dead process left undone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from app.domain.batch import (
    Batch,
    BatchCounts,
    BatchEngine,
    BatchFault,
    BatchStatus,
    NativePhase,
)
from app.domain.errors import (
    BatchEngineError,
    FileNotFoundHereError,
    ServiceError,
    UpstreamError,
)
from app.domain.ports import WorkQueue
from app.domain.work import NewWork, WorkKind, WorkState
from app.services.batches import input_file, record
from app.services.batches.claim import Claim, LostError
from app.services.batches.intake import Intake, IntakeLimits
from app.services.batches.native import NEEDS_PLACES, NativeBatches
from app.services.batches.output import BatchOutput
from app.services.batches.row import Place
from app.services.batches.service import moved
from app.services.files.service import FileService
from app.telemetry.metrics import WORK_LEASED, WORK_OLDEST, WORK_WAITING, Metrics

LONG = 0.5
"""Seconds after which a step no longer delays other batches. Validating a large input or writing a
batch job's records takes minutes."""
MOST_STEPS = 4
"""Maximum concurrent long steps in one process."""
SWEEP = 600.0
"""Seconds between sweeps of expired files and batches."""
SHOW = 5.0
"""Seconds between two updates of the queue metrics."""
_CHUNK = 1000
"""Rows added to the queue in one transaction."""

log = structlog.get_logger()


@dataclass(slots=True)
class BatchKeeper:
    """Advances the batches of all callers."""

    queue: WorkQueue
    files: FileService
    name: str
    """The process's name, the same as its worker's."""
    limits: IntakeLimits
    unknown_fields: Callable[[str, dict[str, object]], list[str]]
    announce: Callable[[Batch], Awaitable[None]]
    """Notifies the caller's server of a batch that has ended."""
    wake: Callable[[], None]
    """Wakes the workers."""
    metrics: Metrics
    native: NativeBatches
    output: BatchOutput
    clock: Callable[[], float] = time.time
    _steps: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    """Running long steps by batch id."""
    _shown: float = field(default=float("-inf"))
    _swept: float = field(default=float("-inf"))

    async def tend(self, steps: asyncio.TaskGroup) -> None:
        """Advance every batch that has not ended; long steps continue in ``steps``."""
        for kept in await self.queue.active(WorkKind.BATCH_ROW):
            self._steps = {id_: step for id_, step in self._steps.items() if not step.done()}
            if kept.id in self._steps:
                continue
            step = steps.create_task(self._step_of(record.read(kept)))
            await asyncio.wait((step,), timeout=LONG)
            if not step.done():
                self._steps[kept.id] = step
            if len(self._steps) >= MOST_STEPS:
                await asyncio.wait(self._steps.values(), return_when=asyncio.FIRST_COMPLETED)
        if time.monotonic() - self._shown > SHOW:
            self._shown = time.monotonic()
            await self._show()
        if time.monotonic() - self._swept > SWEEP:
            self._swept = time.monotonic()
            await self.queue.expire()
            await self.files.expire()

    async def _step_of(self, batch: Batch) -> None:
        try:
            await self._see_to(batch)
        except LostError:
            log.info("a batch changed meanwhile", batch=batch.id)
        except ServiceError as error:
            log.warning("batch waits", batch=batch.id, code=error.code, reason=error.detail)
        except Exception:
            log.exception("batch waits", batch=batch.id)

    async def _show(self) -> None:
        for kind, depth in (await self.queue.depths()).items():
            age = 0.0 if depth.oldest is None else max(0.0, self.clock() - depth.oldest)
            self.metrics.set(WORK_WAITING, depth.waiting, kind=kind)
            self.metrics.set(WORK_LEASED, depth.leased, kind=kind)
            self.metrics.set(WORK_OLDEST, age, kind=kind)

    async def _see_to(self, batch: Batch) -> None:
        match batch.status:
            case BatchStatus.VALIDATING:
                await self._check(batch)
            case BatchStatus.IN_PROGRESS | BatchStatus.CANCELLING if self._is_natives(batch):
                await self._advance(batch)
            case BatchStatus.IN_PROGRESS:
                await self._watch(batch)
            case BatchStatus.CANCELLING if batch.has_job_answers:
                # The batch job's answers are paid for, so rows with an answer are finished first.
                if not await self.queue.has_open(batch.id):
                    await self._wind_up(batch, BatchStatus.CANCELLED)
            case BatchStatus.CANCELLING:
                await self._wind_up(batch, BatchStatus.CANCELLED)
            case BatchStatus.FINALIZING:
                await self._wind_up(batch, batch.ending)
            case _:
                # The process that ended the batch died before it settled it.
                await self._settle(batch)

    async def _claim(self, batch: Batch) -> Claim | None:
        """Claim ``batch``; return None if another process holds it."""
        claim = Claim(self.queue, self.name, batch, self.clock)
        return claim if await claim.take() else None

    async def _check(self, batch: Batch) -> None:
        claim = await self._claim(batch)
        if claim is None:
            return
        async with claim:
            try:
                intake = await self._intake(claim)
            except FileNotFoundHereError:
                await self._fail(claim, (_gone(batch),))
                return
            if intake.faults:
                await self._fail(claim, tuple(intake.faults))
                return
            await self._begin(claim, intake.places)
        self.wake()

    async def _begin(self, claim: Claim, places: Sequence[Place]) -> None:
        """Give the rows to a batch job or the queue; fail if the required engine can't."""
        reason = self.native.reason(claim.batch, len(places))
        begun = replace(claim.batch, counts=BatchCounts(len(places)))
        if reason is None:
            begun = replace(begun, native=self.native.begun(begun))
        elif begun.engine is BatchEngine.BEDROCK:
            await self._fail(claim, (_no_engine(reason),))
            return
        else:
            begun = replace(begun, engine_reason=reason)
            await self._put(claim, places)
        begun = moved(begun, BatchStatus.IN_PROGRESS, self.clock())
        await claim.change(replace(begun, claimed_by=""))

    async def _intake(self, claim: Claim) -> Intake:
        batch = claim.batch
        stored = await self.files.get(batch.owner, batch.input_file_id)
        intake = Intake(
            self.files, stored, batch.endpoint, self.unknown_fields, self.limits, claim.check
        )
        await intake.read()
        return intake

    async def _put(self, claim: Claim, places: Sequence[Place]) -> None:
        kept = record.group(claim.batch)
        for start in range(0, len(places), _CHUNK):
            chunk = enumerate(places[start : start + _CHUNK], start)
            # A batch that was cancelled, or that another process has ended, gets no more rows.
            await claim.change(claim.batch)
            await self.queue.put(kept, [NewWork(n, place.kept()) for n, place in chunk])
            self.wake()

    def _is_natives(self, batch: Batch) -> bool:
        """Return whether a Bedrock batch job has the batch, whose rows are not on the queue yet."""
        return batch.native is not None and batch.native.phase is not NativePhase.ROWS

    async def _noticed(self, batch: Batch) -> Batch:
        """Return ``batch`` with its ending set if it expired or its input was deleted."""
        if batch.ending is not None or batch.status is BatchStatus.CANCELLING:
            return batch
        faults: tuple[BatchFault, ...] = ()
        if self.clock() >= batch.expires_at:
            ending = BatchStatus.EXPIRED
        else:
            try:
                await self.files.get(batch.owner, batch.input_file_id)
            except FileNotFoundHereError:
                ending, faults = BatchStatus.FAILED, (_gone(batch),)
            else:
                return batch
        ends = replace(batch, ending=ending, faults=faults)
        if not await self.queue.change(record.group(ends)):
            raise LostError
        return replace(ends, version=ends.version + 1)

    async def _advance(self, batch: Batch) -> None:
        """Advance the batch's job by one step, or move the rows to the queue."""
        if not self.native.due(batch, ends=batch.ends or self.clock() >= batch.expires_at):
            return
        batch = await self._noticed(batch)
        if batch.ends and batch.native is not None and batch.native.phase is NativePhase.WRITING:
            # No job was requested yet. (In later phases a job is found by its token and stopped.)
            await self._finalize_as(batch, batch.ending or BatchStatus.CANCELLED)
            return
        claim = await self._claim(batch)
        if claim is None:
            return
        async with claim:
            await self._step(claim)
        self.wake()

    async def _step(self, claim: Claim) -> None:
        batch = claim.batch
        assert batch.native is not None
        places: Sequence[Place] = ()
        try:
            if batch.native.phase is NativePhase.WRITING:
                await input_file.keep(self.files, batch)
            if batch.native.phase in NEEDS_PLACES:
                places = await input_file.places(self.files, batch, claim.check)
            await self.native.advance(claim, places)
        except FileNotFoundHereError:
            await self._fail(claim, (_gone(batch),))
        except BatchEngineError as error:
            await self._take_back(claim, error.detail)
        except UpstreamError as error:
            # Bedrock may be running the job, so its rows must not be asked a second time.
            if error.retryable or batch.native.job_id is not None:
                raise
            await self._take_back(claim, error.detail)

    async def _take_back(self, claim: Claim, reason: str) -> None:
        """Move the rows to this service's queue; fail if the caller required Bedrock's engine."""
        batch = claim.batch
        if batch.engine is BatchEngine.BEDROCK:
            await self._fail(claim, (*batch.faults, _no_engine(reason)))
            return
        await self.native.remove(batch)
        await self._put(claim, await input_file.places(self.files, batch, claim.check))
        native = batch.native and replace(batch.native, phase=NativePhase.ROWS)
        await claim.change(replace(claim.batch, native=native, engine_reason=reason, claimed_by=""))

    async def _fail(self, claim: Claim, faults: tuple[BatchFault, ...]) -> None:
        failed = moved(claim.batch, BatchStatus.FAILED, self.clock())
        await claim.change(replace(failed, faults=faults, unsettled=True))
        await self._settle(claim.batch)

    async def _settle(self, batch: Batch) -> None:
        """Announce an ended batch and remove its job and rows; idempotent."""
        await self.announce(batch)
        if batch.native is not None:
            await self.native.remove(batch)
            await input_file.forget(self.files, batch)
        await self.queue.clear(batch.id)
        await self.queue.change(record.group(replace(batch, unsettled=False)))

    async def _watch(self, batch: Batch) -> None:
        if not await self.queue.has_open(batch.id):
            await self._finalize_as(batch, batch.ending or BatchStatus.COMPLETED)
            return
        batch = await self._noticed(batch)
        # A batch job's answers are paid for: its rows are finished first, then the rest is cut off.
        if batch.ending is not None and not batch.has_job_answers:
            await self._finalize_as(batch, batch.ending)

    async def _finalize_as(self, batch: Batch, ending: BatchStatus) -> None:
        finalizing = moved(replace(batch, ending=ending), BatchStatus.FINALIZING, self.clock())
        if await self.queue.change(record.group(finalizing)):
            await self._wind_up(replace(finalizing, version=finalizing.version + 1), ending)

    async def _wind_up(self, batch: Batch, ending: BatchStatus | None) -> None:
        """Cancel the waiting rows of ``batch``, and end it once no row is running."""
        await self.queue.cancel(batch.owner, batch.id, leased=False)
        if await self.queue.has_open(batch.id):
            return
        claim = await self._claim(batch)
        if claim is None:
            return
        async with claim:
            await self._end(claim, ending or BatchStatus.COMPLETED)

    async def _end(self, claim: Claim, ending: BatchStatus) -> None:
        batch = claim.batch
        counts = await self.queue.counts(batch.id)
        ended = replace(
            await self.output.write(claim, ending, counts),
            counts=BatchCounts(
                max(batch.counts.total, counts.total),
                counts.in_state(WorkState.SUCCEEDED),
                counts.in_state(WorkState.FAILED),
                counts.usage,
            ),
            ending=None,
        )
        await claim.change(replace(moved(ended, ending, self.clock()), unsettled=True))
        await self._settle(claim.batch)


def _no_engine(reason: str) -> BatchFault:
    return BatchFault(BatchEngineError.code, reason, None, "engine")


def _gone(batch: Batch) -> BatchFault:
    return BatchFault(
        "input_file_deleted", f"the input file {batch.input_file_id} was deleted", None, None
    )
