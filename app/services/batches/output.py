"""Writes a batch's output file and error file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from app.domain import file
from app.domain.batch import Batch, BatchStatus
from app.domain.errors import (
    BatchCancelledError,
    BatchExpiredError,
    BatchInputGoneError,
    FileNotFoundHereError,
    ServiceError,
)
from app.domain.file import FilePurpose
from app.domain.ports import WorkQueue
from app.domain.work import GroupCounts, WorkResult, WorkState
from app.services.batches import input_file, row
from app.services.batches.claim import Claim
from app.services.batches.row import Place
from app.services.files.service import FileService

_PAGE = 100
"""Results read per query."""
_UNANSWERED: dict[BatchStatus | None, type[ServiceError]] = {
    BatchStatus.CANCELLED: BatchCancelledError,
    BatchStatus.EXPIRED: BatchExpiredError,
    BatchStatus.FAILED: BatchInputGoneError,
}


def unanswered(ending: BatchStatus | None) -> ServiceError:
    """Return the error for a row left unanswered when its batch ends as ``ending``."""
    cls = _UNANSWERED.get(ending, BatchCancelledError)
    return cls((cls.__doc__ or cls.title).strip())


@dataclass(frozen=True, slots=True)
class BatchOutput:
    """The output file and the error file of a batch."""

    queue: WorkQueue
    files: FileService

    async def write(self, claim: Claim, ending: BatchStatus, counts: GroupCounts) -> Batch:
        """Write the files that have rows, and return the batch with their ids."""
        total = max(claim.batch.counts.total, counts.total)
        succeeded = counts.in_state(WorkState.SUCCEEDED)
        output = errors = None
        if succeeded:
            output = await self._write(claim, "output", self._succeeded(claim))
        if total > succeeded:
            unput = await self._unput(claim, counts)
            if unput or counts.total > succeeded:
                errors = await self._write(claim, "error", self._failed(claim, ending, unput))
        return replace(claim.batch, output_file_id=output, error_file_id=errors)

    async def _unput(self, claim: Claim, counts: GroupCounts) -> Sequence[Place]:
        """Return the places of all rows if a batch job kept some off the queue, else nothing."""
        if claim.batch.native is None or counts.total >= claim.batch.counts.total:
            return ()
        with suppress(FileNotFoundHereError):
            return await input_file.places(self.files, claim.batch, claim.check)
        return ()

    async def _write(self, claim: Claim, what: str, lines: AsyncIterator[bytes]) -> str:
        """Write one file and return its id, which is the same whichever process writes it."""
        batch = claim.batch
        began = batch.times.get(BatchStatus.FINALIZING, batch.times.get(BatchStatus.CANCELLING, 0))
        kept = batch.output_seconds or self.files.limits.seconds
        file_id = file.new_id(began, began + kept, seed=f"{batch.owner}:{batch.id}:{what}")
        draft = await self.files.rewrite(batch.owner, file_id, lines)
        name = f"{batch.id}_{what}.jsonl"
        await self.files.finish(draft, name, FilePurpose.BATCH_OUTPUT)
        return file_id

    async def _succeeded(self, claim: Claim) -> AsyncIterator[bytes]:
        async for page in self._results(claim):
            done = [item for item in page if item.state is WorkState.SUCCEEDED]
            yield b"".join(row.answered(claim.batch.id, item) for item in done)

    async def _failed(
        self, claim: Claim, ending: BatchStatus, unput: Sequence[Place]
    ) -> AsyncIterator[bytes]:
        batch, error, position = claim.batch.id, unanswered(ending), 0
        async for page in self._results(claim):
            for item in page:
                for missing in _missing(unput, position, item.position):
                    yield row.unanswered(batch, missing, error)
                position = item.position + 1
                if item.result is None:
                    yield row.unanswered(batch, item, error)
                elif item.state is not WorkState.SUCCEEDED:
                    yield row.answered(batch, item)
        for missing in _missing(unput, position, len(unput)):
            yield row.unanswered(batch, missing, error)

    async def _results(self, claim: Claim) -> AsyncIterator[Sequence[WorkResult]]:
        """Yield pages of the rows on the queue, in the input's order."""
        batch, after = claim.batch, -1
        while page := await self.queue.results(batch.owner, batch.id, after, _PAGE):
            await claim.check()
            yield page
            after = page[-1].position


def _missing(unput: Sequence[Place], start: int, end: int) -> list[WorkResult]:
    return [
        WorkResult(start + n, WorkState.CANCELLED, place.kept(), None)
        for n, place in enumerate(unput[start:end])
    ]
