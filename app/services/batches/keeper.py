"""Moves batches from state to state: checks their input, ends them, writes their files.

Every process has one. What takes long is claimed for a while first, by a change of the batch that
only one can make; and whatever a process left undone when it died is done by another.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import structlog

from app.domain import file
from app.domain.batch import (
    ENDED,
    Batch,
    BatchCounts,
    BatchEngine,
    BatchFault,
    BatchStatus,
    NativePhase,
)
from app.domain.errors import (
    BatchCancelledError,
    BatchEngineError,
    BatchExpiredError,
    BatchInputGoneError,
    FileNotFoundHereError,
    ServiceError,
    UpstreamError,
)
from app.domain.file import FilePurpose
from app.domain.ports import WorkQueue
from app.domain.work import GroupCounts, NewWork, WorkKind, WorkResult, WorkState
from app.services.batches import record
from app.services.batches import row as rows
from app.services.batches.intake import Intake, IntakeLimits
from app.services.batches.native import NEEDS_PLACES, NativeBatches
from app.services.batches.row import Place
from app.services.batches.service import moved
from app.services.files.service import FileService
from app.telemetry.metrics import WORK_LEASED, WORK_OLDEST, WORK_WAITING, Metrics

CLAIM = 60.0
"""Seconds for which a batch is one process's to check or to finalize; renewed meanwhile."""
SWEEP = 600.0
"""Seconds between sweeps of expired files and batches."""
SHOW = 5.0
"""Seconds between counts of waiting items, for the metrics."""
_CHUNK = 1000
"""Rows that are put on the queue in one transaction."""
_PAGE = 100
"""Results that are read at a time."""
_UNANSWERED: dict[BatchStatus | None, type[ServiceError]] = {
    BatchStatus.CANCELLED: BatchCancelledError,
    BatchStatus.EXPIRED: BatchExpiredError,
    BatchStatus.FAILED: BatchInputGoneError,
}

log = structlog.get_logger()


class _LostError(Exception):
    """The batch was changed by another: its claim is over, or it was cancelled."""


@dataclass(slots=True)
class _Claim:
    """One process's hold on a batch, let go when the block over it is left."""

    keeper: "BatchKeeper"
    batch: Batch

    async def __aenter__(self) -> Self:
        """Return the hold, which was had already."""
        return self

    async def __aexit__(self, cls: type[BaseException] | None, *_: object) -> None:
        """Let go, so that another process can go on at once; not of what another has by now."""
        if cls is not _LostError and self.batch.status not in ENDED and self.batch.claimed_by:
            await self.change(replace(self.batch, claimed_by="", claimed_until=0))

    async def renew(self) -> None:
        """Hold it for another while where the last one is half over, or raise _LostError."""
        if self.batch.claimed_until - self.keeper.clock() < CLAIM / 2:
            await self.change(replace(self.batch, claimed_until=self.keeper.clock() + CLAIM))

    async def change(self, batch: Batch) -> None:
        """Keep ``batch``, or raise _LostError."""
        if not await self.keeper.queue.change(record.group(batch)):
            raise _LostError
        self.batch = replace(batch, version=batch.version + 1)


@dataclass(slots=True)
class BatchKeeper:
    """Advances every caller's batches."""

    queue: WorkQueue
    files: FileService
    name: str
    """The process's, as its worker has it."""
    limits: IntakeLimits
    unknown_fields: Callable[[str, dict[str, object]], list[str]]
    announce: Callable[[Batch], Awaitable[None]]
    """Notifies the caller's server of a batch that has ended."""
    wake: Callable[[], None]
    """Wakes the workers."""
    metrics: Metrics
    native: NativeBatches
    clock: Callable[[], float] = time.time
    _shown: float = field(default=float("-inf"))
    _swept: float = field(default=float("-inf"))

    async def tend(self) -> None:
        """Look at every batch that has not ended."""
        for kept in await self.queue.active(WorkKind.BATCH_ROW):
            batch = record.read(kept)
            try:
                await self._see_to(batch)
            except _LostError:
                continue
            except ServiceError as error:
                log.warning("batch waits", batch=batch.id, code=error.code, reason=error.detail)
        if time.monotonic() - self._shown > SHOW:
            self._shown = time.monotonic()
            await self._show()
        if time.monotonic() - self._swept > SWEEP:
            self._swept = time.monotonic()
            await self.queue.expire()
            await self.files.expire()

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
            case BatchStatus.CANCELLING if self._has_job_answers(batch):
                # What the batch job has answered is paid for: the rows with an answer are ended.
                if not await self.queue.has_open(batch.id):
                    await self._wind_up(batch, BatchStatus.CANCELLED)
            case BatchStatus.CANCELLING:
                await self._wind_up(batch, BatchStatus.CANCELLED)
            case BatchStatus.FINALIZING:
                await self._wind_up(batch, batch.ending)
            case _:
                # The process that ended it died before it could.
                await self._settle(batch)

    async def _claim(self, batch: Batch) -> _Claim | None:
        """Return a hold on ``batch``, None where another process has one."""
        now = self.clock()
        another = batch.claimed_by not in ("", self.name)
        # One that seems to hold longer was taken before the clock was set back.
        if another and now < batch.claimed_until <= now + 2 * CLAIM:
            return None
        claim = _Claim(self, batch)
        await claim.change(replace(batch, claimed_by=self.name, claimed_until=now + CLAIM))
        return claim

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

    async def _begin(self, claim: _Claim, places: Sequence[Place]) -> None:
        """Give the rows to a batch job or to the queue, or fail where neither is wanted."""
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
            begun = replace(begun, version=claim.batch.version)
        begun = moved(begun, BatchStatus.IN_PROGRESS, self.clock())
        await claim.change(replace(begun, claimed_by="", claimed_until=0))

    async def _intake(self, claim: _Claim) -> Intake:
        batch = claim.batch
        stored = await self.files.get(batch.owner, batch.input_file_id)
        intake = Intake(
            self.files, stored, batch.endpoint, self.unknown_fields, self.limits, claim.renew
        )
        await intake.read()
        return intake

    async def _put(self, claim: _Claim, places: Sequence[Place]) -> None:
        kept = record.group(claim.batch)
        for start in range(0, len(places), _CHUNK):
            chunk = enumerate(places[start : start + _CHUNK], start)
            await self.queue.put(kept, [NewWork(n, place.kept()) for n, place in chunk])
            await claim.renew()

    def _is_natives(self, batch: Batch) -> bool:
        """Tell whether Bedrock's batch job has the batch, and its rows are not on the queue yet."""
        return batch.native is not None and batch.native.phase is not NativePhase.ROWS

    async def _only_job_answers(self, batch: Batch) -> bool:
        """Tell whether rows wait that a batch job has answered, and no others."""
        if not self._has_job_answers(batch):
            return False
        counts = await self.queue.counts(batch.id)
        return counts.open > 0 and counts.total < batch.counts.total

    def _has_job_answers(self, batch: Batch) -> bool:
        return batch.native is not None and batch.engine_reason is None

    async def _advance(self, batch: Batch) -> None:
        """Bring the batch's job one step on, or take the rows back to the queue."""
        cancelled = batch.status is BatchStatus.CANCELLING or self.clock() >= batch.expires_at
        if cancelled and batch.native is not None and batch.native.phase is NativePhase.WRITING:
            # No job was asked for yet. One whose answer was lost is found by its token and stopped.
            await self._give_up(batch)
            return
        if not self.native.due(batch, cancelled=cancelled):
            return
        claim = await self._claim(batch)
        if claim is None:
            return
        async with claim:
            await self._step(claim, cancelled=cancelled)
        self.wake()

    async def _step(self, claim: _Claim, *, cancelled: bool) -> None:
        batch = claim.batch
        places: list[Place] = []
        try:
            if batch.native is not None and batch.native.phase in NEEDS_PLACES:
                places = (await self._intake(claim)).places
            await self.native.advance(claim, places, cancelled=cancelled)
        except FileNotFoundHereError:
            await self.native.remove(claim.batch)
            await self._fail(claim, (_gone(batch),))
        except BatchEngineError as error:
            await self._take_back(claim, error.detail)
        except UpstreamError as error:
            # Bedrock may be at work on a job that was asked for: its rows are not asked again.
            if error.retryable or batch.native is None or batch.native.job_id is not None:
                raise
            await self._take_back(claim, error.detail)

    async def _give_up(self, batch: Batch) -> None:
        ending = BatchStatus.CANCELLED
        if batch.status is not BatchStatus.CANCELLING:
            ending = BatchStatus.EXPIRED
        await self._finalize_as(replace(batch, native=None), ending)

    async def _take_back(self, claim: _Claim, reason: str) -> None:
        """Have the rows done by this service's own queue, or fail where that was not wanted."""
        batch = claim.batch
        await self.native.remove(batch)
        if batch.engine is BatchEngine.BEDROCK:
            await self._fail(claim, (_no_engine(reason),))
            return
        await self._put(claim, (await self._intake(claim)).places)
        native = batch.native and replace(batch.native, phase=NativePhase.ROWS)
        await claim.change(replace(claim.batch, native=native, engine_reason=reason, claimed_by=""))

    async def _fail(self, claim: _Claim, faults: tuple[BatchFault, ...]) -> None:
        failed = moved(claim.batch, BatchStatus.FAILED, self.clock())
        await claim.change(replace(failed, faults=faults, unsettled=True))
        await self._settle(claim.batch)

    async def _settle(self, batch: Batch) -> None:
        """Do what is left to do of a batch that has ended; done twice, it is done once."""
        await self.announce(batch)
        await self.queue.clear(batch.id)
        await self.queue.change(record.group(replace(batch, unsettled=False)))

    async def _watch(self, batch: Batch) -> None:
        if self.clock() >= batch.expires_at:
            if not await self._only_job_answers(batch):
                await self._finalize_as(batch, BatchStatus.EXPIRED)
        elif not await self.queue.has_open(batch.id):
            await self._finalize_as(batch, BatchStatus.COMPLETED)
        else:
            try:
                await self.files.get(batch.owner, batch.input_file_id)
            except FileNotFoundHereError:
                gone = replace(batch, faults=(_gone(batch),))
                await self._finalize_as(gone, BatchStatus.FAILED)

    async def _finalize_as(self, batch: Batch, ending: BatchStatus) -> None:
        finalizing = moved(replace(batch, ending=ending), BatchStatus.FINALIZING, self.clock())
        if await self.queue.change(record.group(finalizing)):
            await self._wind_up(replace(finalizing, version=finalizing.version + 1), ending)

    async def _wind_up(self, batch: Batch, ending: BatchStatus | None) -> None:
        """End ``batch`` once no row of it is being answered any more."""
        await self.queue.cancel(batch.owner, batch.id, leased=False)
        if await self.queue.has_open(batch.id):
            return
        claim = await self._claim(batch)
        if claim is None:
            return
        async with claim:
            await self._end(claim, ending or BatchStatus.COMPLETED)

    async def _end(self, claim: _Claim, ending: BatchStatus) -> None:
        batch = claim.batch
        counts = await self.queue.counts(batch.id)
        ended = replace(
            await self._written(claim, ending, counts),
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

    async def _written(self, claim: _Claim, ending: BatchStatus, counts: GroupCounts) -> Batch:
        """Write the files that the batch's rows make, and return it with their ids."""
        succeeded = counts.in_state(WorkState.SUCCEEDED)
        output = errors = None
        if succeeded:
            output = await self._write(claim, "output", ending)
        if counts.total > succeeded:
            errors = await self._write(claim, "error", ending)
        return replace(claim.batch, output_file_id=output, error_file_id=errors)

    async def _write(self, claim: _Claim, what: str, ending: BatchStatus) -> str:
        """Write one file under an id that is the same whoever writes it, and return the id."""
        batch = claim.batch
        began = batch.times.get(BatchStatus.FINALIZING, batch.times.get(BatchStatus.CANCELLING, 0))
        kept = batch.output_seconds or self.files.limits.seconds
        file_id = file.new_id(began, began + kept, seed=f"{batch.owner}:{batch.id}:{what}")
        lines = self._lines(claim, ending, succeeded=what == "output")
        draft = await self.files.rewrite(batch.owner, file_id, lines)
        name = f"{batch.id}_{what}.jsonl"
        await self.files.finish(draft, name, FilePurpose.BATCH_OUTPUT)
        return file_id

    async def _lines(
        self, claim: _Claim, ending: BatchStatus, *, succeeded: bool
    ) -> AsyncIterator[bytes]:
        """Yield the lines of one file, in the input's order."""
        batch, after = claim.batch, -1
        while page := await self.queue.results(batch.owner, batch.id, after, _PAGE):
            await claim.renew()
            lines = [
                _line(batch, item, ending)
                for item in page
                if (item.state is WorkState.SUCCEEDED) == succeeded
            ]
            yield b"".join(lines)
            after = page[-1].position


def _line(batch: Batch, item: WorkResult, ending: BatchStatus) -> bytes:
    if item.result is not None:
        return rows.answered(batch.id, item)
    cls = _UNANSWERED.get(ending, BatchCancelledError)
    return rows.unanswered(batch.id, item, cls((cls.__doc__ or cls.title).strip()))


def _no_engine(reason: str) -> BatchFault:
    return BatchFault(BatchEngineError.code, reason, None, "engine")


def _gone(batch: Batch) -> BatchFault:
    return BatchFault(
        "input_file_deleted", f"the input file {batch.input_file_id} was deleted", None, None
    )
