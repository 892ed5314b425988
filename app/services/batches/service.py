"""Creates, returns, lists and cancels batches.

`app.services.batches.handler` answers their rows, and the keeper moves them to their end.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import urandom

from app.domain.access import Caller
from app.domain.batch import ENDED, Batch, BatchCounts, BatchEngine, BatchStatus
from app.domain.errors import (
    BatchEngineError,
    BatchNotFoundError,
    BatchStateError,
    FilePurposeError,
    InvalidParameterError,
)
from app.domain.file import FilePurpose
from app.domain.ports import WorkQueue
from app.domain.work import WorkKind, WorkState
from app.services.batches import record
from app.services.batches.native import endpoint_reason
from app.services.files.service import FileService
from app.services.tasks import TASKS
from app.services.work.paging import check_after

HOUR = 3600
LONGEST_WINDOW = 7 * 24
"""Maximum completion window in hours."""
ENDPOINTS = frozenset(
    ("/v1/generate", "/v1/chat/completions", *(f"/v1/tasks/{task.name}" for task in TASKS))
)
"""Endpoint paths that rows may use."""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A request to create a batch."""

    caller: Caller
    endpoint: str
    input_file_id: str
    window: str
    metadata: Mapping[str, str] | None
    webhook: str | None = None
    engine: BatchEngine = BatchEngine.AUTO
    output_seconds: int | None = None
    """Seconds for which its output is kept; None for the same time as other files."""


@dataclass(frozen=True, slots=True)
class BatchService:
    """The batches of all callers."""

    queue: WorkQueue
    files: FileService
    check_webhook: Callable[[str | None], None]
    no_batch_jobs: str | None = "this service has no batch jobs"
    """Why Bedrock batch jobs are unavailable; None if they are available."""
    clock: Callable[[], float] = time.time

    async def begin(self, new: NewBatch) -> Batch:
        """Create a batch, whose input is validated in the background.

        Raises InvalidParameterError, FileNotFoundHereError, FilePurposeError, BatchEngineError,
        WorkQueueError, or the error that refuses the webhook.
        """
        check_endpoint(new.endpoint)
        hours = window_hours(new.window)
        self.check_webhook(new.webhook)
        if new.engine is BatchEngine.BEDROCK:
            reason = self.no_batch_jobs or endpoint_reason(new.endpoint)
            if reason is not None:
                raise BatchEngineError.at("engine", reason)
        stored = await self.files.get(new.caller.id, new.input_file_id)
        if stored.purpose is not FilePurpose.BATCH:
            raise FilePurposeError.at(
                "input_file_id", f"was uploaded for {stored.purpose}, not for batch"
            )
        now = self.clock()
        batch = Batch(
            id=f"batch_{int(now * 1000):011x}{urandom(8).hex()}",
            caller=new.caller,
            endpoint=new.endpoint,
            input_file_id=stored.id,
            window=new.window,
            metadata=new.metadata,
            created_at=now,
            expires_at=now + hours * HOUR,
            webhook=new.webhook,
            engine=new.engine,
            output_seconds=new.output_seconds,
        )
        await self.queue.open(record.group(batch))
        return batch

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Return a batch with its current counts, or raise BatchNotFoundError."""
        kept = await self.queue.group(owner, batch_id)
        if kept is None or kept.kind is not WorkKind.BATCH_ROW:
            raise BatchNotFoundError(f"there is no batch {batch_id[:64]!r}")
        return await self._counted(record.read(kept))

    async def page(self, owner: str, limit: int, after: str | None) -> tuple[Sequence[Batch], bool]:
        """Return a page of the caller's batches, newest first, and whether there are more.

        Raises InvalidParameterError if there is no batch ``after``.
        """
        await check_after(self.queue, owner, after)
        kept = await self.queue.groups(owner, WorkKind.BATCH_ROW, limit + 1, after)
        batches = [await self._counted(record.read(group)) for group in kept[:limit]]
        return batches, len(kept) > limit

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel a batch: no more rows begin, and running rows are finished.

        Raises BatchNotFoundError, or BatchStateError if it has ended.
        """
        while True:
            batch = await self.get(owner, batch_id)
            if batch.status is BatchStatus.CANCELLING:
                return batch
            if batch.status in (*ENDED, BatchStatus.FINALIZING):
                raise BatchStateError(f"the batch is {batch.status} and can't be cancelled")
            cancelling = moved(batch, BatchStatus.CANCELLING, self.clock())
            if await self.queue.change(record.group(cancelling)):
                if batch.native is None or batch.engine_reason is not None:
                    await self.queue.cancel(owner, batch_id, leased=False)
                # Otherwise some rows may have paid answers of a batch job.
                return await self.get(owner, batch_id)

    async def _counted(self, batch: Batch) -> Batch:
        if batch.status in ENDED:
            return batch
        counts = await self.queue.counts(batch.id)
        return replace(
            batch,
            counts=BatchCounts(
                max(batch.counts.total, counts.total),
                counts.in_state(WorkState.SUCCEEDED),
                counts.in_state(WorkState.FAILED),
                counts.usage,
            ),
        )


def moved(batch: Batch, status: BatchStatus, now: float) -> Batch:
    """Return ``batch`` in ``status``, entered at ``now``."""
    return replace(batch, status=status, times={**batch.times, status: now})


def check_endpoint(endpoint: str) -> None:
    """Check that rows may use ``endpoint``, or raise InvalidParameterError."""
    if endpoint not in ENDPOINTS:
        tasks = ", ".join(task.name for task in TASKS)
        raise InvalidParameterError.at(
            "endpoint",
            "give /v1/generate, /v1/chat/completions or /v1/tasks/{task}, "
            f"where task is one of {tasks}",
        )


def window_hours(window: str) -> int:
    """Return the hours of a window such as ``24h`` or ``7d``, or raise InvalidParameterError."""
    match = re.fullmatch("([0-9]{1,3})([hd])", window)
    hours = 0 if match is None else int(match[1]) * (24 if match[2] == "d" else 1)
    if not 1 <= hours <= LONGEST_WINDOW:
        raise InvalidParameterError.at("completion_window", "give 1h to 168h, or 1d to 7d")
    return hours
