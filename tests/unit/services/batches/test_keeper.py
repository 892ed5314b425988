"""Batches whose process died in the middle of a step."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from app.adapters.encryption.plain import PlainData
from app.adapters.files.directory import DirectoryFiles
from app.adapters.queue.sqlite import SqliteQueue, open_sqlite_queue
from app.domain.access import ANONYMOUS
from app.domain.batch import Batch, BatchStatus
from app.domain.errors import WorkQueueError
from app.domain.file import FilePurpose
from app.domain.work import NewWork, WorkKind
from app.services.batches import keeper as keepers
from app.services.batches import record
from app.services.batches.intake import IntakeLimits
from app.services.batches.keeper import BatchKeeper
from app.services.batches.native import NativeBatches
from app.services.batches.output import BatchOutput
from app.services.batches.service import BatchService
from app.services.files.service import FileLimits, FileService
from app.telemetry.metrics import Metrics
from tests.support.fakes.own_class import with_own_class


def keeper(
    queue: SqliteQueue, folder: Path, told: list[Batch], *, failures: int = 0
) -> BatchKeeper:
    async def announce(batch: Batch) -> None:
        told.append(batch)
        if len(told) <= failures:
            raise WorkQueueError("the process dies here")

    capture: Any = None
    files = FileService(DirectoryFiles(folder), PlainData(), FileLimits(1000, 1000, 3600))
    return BatchKeeper(
        queue,
        files,
        "keeper",
        IntakeLimits(10, 1000),
        lambda *_: [],
        announce,
        lambda: None,
        Metrics(),
        NativeBatches(queue, None, "there are none here", 1, 1, capture),
        BatchOutput(queue, files),
    )


async def tended(keeper: BatchKeeper) -> None:
    """Tend every batch and wait for its steps."""
    async with asyncio.TaskGroup() as steps:
        await keeper.tend(steps)


async def with_rows(keeper: BatchKeeper, count: int) -> Batch:
    """Create a batch whose input has ``count`` rows."""
    row = b'{"custom_id": "%d", "method": "POST", "url": "/v1/generate", "body": {}}\n'

    async def content() -> AsyncIterator[bytes]:
        for n in range(count):
            yield row % n

    draft = await keeper.files.receive(ANONYMOUS.id, None, content())
    stored = await keeper.files.finish(draft, "rows.jsonl", FilePurpose.BATCH)
    batch = Batch("batch_1", ANONYMOUS, "/v1/generate", stored.id, "24h", None, 0, 2e9)
    await keeper.queue.open(record.group(batch))
    return batch


@pytest.fixture
async def queue(tmp_path):
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as queue:
        yield with_own_class(queue)


async def test_an_end_stored_but_not_announced_is_announced_by_the_next_process(queue, tmp_path):
    batch = Batch(
        id="batch_1",
        caller=ANONYMOUS,
        endpoint="/v1/generate",
        input_file_id="file-gone",
        window="24h",
        metadata=None,
        created_at=0,
        expires_at=0,
        status=BatchStatus.CANCELLING,
        webhook="https://example.com/hook",
    )
    await queue.open(record.group(batch), [NewWork(0, b'[0, 1, "a"]')])
    told: list[Batch] = []

    await tended(keeper(queue, tmp_path / "files", told, failures=1))
    kept = await queue.group(ANONYMOUS.id, "batch_1")
    assert kept is not None
    assert record.read(kept).status is BatchStatus.CANCELLED
    assert (await queue.counts("batch_1")).total == 1

    await tended(keeper(queue, tmp_path / "files", told))
    await tended(keeper(queue, tmp_path / "files", told))

    assert [batch.status for batch in told] == [BatchStatus.CANCELLED] * 2
    assert (await queue.counts("batch_1")).total == 0
    assert await queue.active(WorkKind.BATCH_ROW) == ()


async def test_a_slow_step_delays_no_other_batch(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(keepers, "LONG", 0.01)
    for name, endpoint in (("batch_1", "/v1/slow"), ("batch_2", "/v1/generate")):
        cancelling = Batch(
            name, ANONYMOUS, endpoint, "file-gone", "24h", None, 0, 0, BatchStatus.CANCELLING
        )
        await queue.open(record.group(cancelling))
    going_on = asyncio.Event()
    told: list[Batch] = []
    keeper_ = keeper(queue, tmp_path / "files", told)
    announce = keeper_.announce

    async def slow(batch: Batch) -> None:
        if batch.endpoint == "/v1/slow":
            await going_on.wait()
        await announce(batch)

    keeper_.announce = slow
    async with asyncio.timeout(20), asyncio.TaskGroup() as steps:
        await keeper_.tend(steps)
        await keeper_.tend(steps)
        assert [batch.id for batch in told] == ["batch_2"]
        going_on.set()

    assert [batch.id for batch in told] == ["batch_2", "batch_1"]


async def test_rows_can_start_while_others_are_still_being_queued(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(keepers, "_CHUNK", 2)
    steps: list[str] = []
    put = type(queue).put

    async def noted(self, group, work):
        steps.append("put")
        await put(self, group, work)

    monkeypatch.setattr(type(queue), "put", noted)
    keeper_ = keeper(queue, tmp_path / "files", [])
    keeper_.wake = lambda: steps.append("wake")
    await with_rows(keeper_, 4)

    await tended(keeper_)

    assert steps[:4] == ["put", "wake", "put", "wake"]
    assert (await queue.counts("batch_1")).total == 4


async def test_a_batch_cancelled_while_it_is_queued_gets_no_more_rows(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(keepers, "_CHUNK", 2)
    keeper_ = keeper(queue, tmp_path / "files", [])
    batch = await with_rows(keeper_, 6)
    service = BatchService(queue, keeper_.files, lambda _: None)
    put = type(queue).put

    async def then_cancelled(self, group, work):
        await put(self, group, work)
        await service.cancel(ANONYMOUS.id, batch.id)

    monkeypatch.setattr(type(queue), "put", then_cancelled)
    with structlog.testing.capture_logs() as logged:
        await tended(keeper_)

    assert (await queue.counts(batch.id)).total == 2
    assert [line for line in logged if line["log_level"] in ("warning", "error")] == []
    await tended(keeper_)
    assert (await service.get(ANONYMOUS.id, batch.id)).status is BatchStatus.CANCELLED
