import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from multiprocessing import active_children

import pytest
import pytest_asyncio
import pyvips

from app.domain.errors import (
    ImageDamagedError,
    ImageDecoderBusyError,
    ImageDecoderError,
    ImageTimeoutError,
)
from app.domain.image import ImageLimits, ReceivedImage, Treatment
from app.services.images.inspection.header import inspect
from app.services.images.workers.pool import REQUEST_CPU, PooledPreparer
from app.services.images.workers.queue import DecoderQueue
from app.services.images.workers.spawn import environment
from app.telemetry.record import RequestRecord, recording
from fixtures.images import HOSTILE, encoded, gnawed, photo, sample
from fixtures.process import resident_mib
from tests.support.fakes.failing_decoders import (
    BURN,
    CRASH,
    DEVOUR,
    HANG,
    KILL,
    burn,
    draw,
    moody,
    packages,
    scatter,
    variables,
    wait,
)
from tests.support.files.picture_judge import judge, judge_picture

LIMITS = ImageLimits()
PICTURE = encoded(photo(300, 200), "WEBP")


@pytest_asyncio.fixture
async def preparer() -> AsyncIterator[PooledPreparer]:
    """Two workers that do what a picture's last bytes name.

    Each has at most half a second of CPU and four of wall clock time.
    """
    async with PooledPreparer(LIMITS, workers=2, timeout=4, cpu=0.5, run=moody) as opened:
        yield opened


@pytest_asyncio.fixture
async def strict() -> AsyncIterator[PooledPreparer]:
    """The same with a fifth of a second of CPU, and time to use it on a busy machine."""
    async with PooledPreparer(LIMITS, workers=1, timeout=60, cpu=0.2, run=moody) as opened:
        yield opened


def workers(preparer: PooledPreparer) -> set[int]:
    assert preparer._pool is not None
    return set(preparer._pool._pool_manager.worker_manager.workers)


def busy(preparer: PooledPreparer) -> int:
    """Return how many workers are processing a picture."""
    assert preparer._pool is not None
    return sum(task.started for task in preparer._pool._pool_manager.task_manager.tasks.values())


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_idle_worker_returns_the_memory_of_pictures_to_the_system(preparer):
    worker = await preparer.work(scatter)
    taken = resident_mib(worker)

    await until(lambda: resident_mib(worker) < taken - 30)


async def test_a_worker_imports_only_the_decoders(preparer):
    imported = await preparer.work(packages)

    assert {"PIL", "pyvips"} <= imported
    assert not {"fastapi", "pydantic", "structlog", "botocore", "uvicorn"} & imported


async def test_a_picture_is_prepared_in_a_worker(preparer):
    report = await preparer.prepare(ReceivedImage(PICTURE))

    # Computed in the worker, and not later by the event loop.
    assert report.prepared.digest
    judge(report, LIMITS)
    assert report.treatment is Treatment.ENCODED


async def test_workers_start_with_the_first_pictures_and_only_once():
    async with PooledPreparer(LIMITS, workers=1, waits=True) as preparer:
        assert preparer._pool is None
        reports = await asyncio.gather(
            *(preparer.prepare(ReceivedImage(PICTURE)) for _ in range(3))
        )

        assert [report.treatment for report in reports] == [Treatment.ENCODED] * 3
        assert len(workers(preparer)) == 1


async def test_a_closed_preparer_starts_no_workers():
    async with PooledPreparer(LIMITS, workers=1, waits=True) as preparer:
        pass

    with pytest.raises(RuntimeError, match="not open"):
        await preparer.prepare(ReceivedImage(PICTURE))
    assert not active_children()


async def test_a_picture_that_fits_needs_no_worker():
    data = encoded(photo(300, 200))
    # The preparer is never opened, so it has no workers.
    report = await PooledPreparer(LIMITS).prepare(ReceivedImage(data))

    assert report.prepared.data == data
    assert report.prepared.digest


async def test_a_workers_refusal_keeps_its_type_and_names_the_picture(preparer):
    image = ReceivedImage(gnawed(encoded(photo(), "WEBP")), name="images.3")

    with pytest.raises(ImageDamagedError) as caught:
        await preparer.prepare(image)

    assert caught.value.detail.startswith("images.3: ")
    assert [(e.field, e.code) for e in caught.value.errors] == [("images.3", "image_damaged")]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (HANG, ImageDecoderBusyError),
        (b"deaf" + HANG, ImageDecoderBusyError),
        (BURN, ImageTimeoutError),
        (CRASH, ImageDecoderError),
        (KILL, ImageDecoderError),
        (DEVOUR, ImageDecoderError),
    ],
)
async def test_a_picture_that_crashes_its_decoder_harms_only_itself(preparer, fault, error):
    poisoned = asyncio.create_task(preparer.prepare(ReceivedImage(PICTURE + fault)))
    # Let it reach its worker first.
    await asyncio.sleep(0.05)
    innocents = [preparer.prepare(ReceivedImage(PICTURE)) for _ in range(8)]

    reports = await asyncio.gather(*innocents)
    with pytest.raises(error):
        await poisoned

    assert len({report.prepared.sha256 for report in reports}) == 1
    assert (await preparer.prepare(ReceivedImage(PICTURE))).prepared == reports[0].prepared


async def test_work_over_its_cpu_limit_is_refused_as_not_retryable(strict):
    with pytest.raises(ImageTimeoutError) as caught:
        await strict.prepare(ReceivedImage(PICTURE + BURN))

    assert (caught.value.status, caught.value.retryable) == (422, False)


async def test_a_picture_too_slow_on_a_busy_machine_is_refused_as_retryable(preparer):
    # It sleeps and uses no CPU, like a process that others keep from running.
    with pytest.raises(ImageTimeoutError) as caught:
        await preparer.prepare(ReceivedImage(PICTURE + HANG))

    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert caught.value.retry_after


async def test_a_worker_does_not_get_the_services_secrets(monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LLAMA_VISION_KEYS_FILE"):
        monkeypatch.setenv(name, "secret")
    async with PooledPreparer(LIMITS, workers=1) as opened:
        names = await opened.work(variables)

    assert "PATH" in names
    assert not [name for name in names if name.startswith(("AWS_", "LLAMA_"))]


@pytest.mark.parametrize("own", [None, "glibc.malloc.hugetlb=0"])
def test_a_worker_uses_huge_pages_unless_the_operator_chose_otherwise(monkeypatch, own):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if own:
        monkeypatch.setenv("GLIBC_TUNABLES", own)

    assert environment()["GLIBC_TUNABLES"] == (own or "glibc.malloc.hugetlb=1")


async def test_a_request_ends_after_its_first_piece_that_exceeds_the_limit(strict):
    with recording(RequestRecord()) as record:
        with pytest.raises(ImageTimeoutError):
            await strict.prepare(ReceivedImage(PICTURE + BURN))
        used = record.decoder_ms
        with pytest.raises(ImageTimeoutError, match="nothing more"):
            await strict.prepare(ReceivedImage(PICTURE))

    assert used >= 200
    # No worker had the second picture.
    assert (record.decoder_timeouts, record.decoder_ms) == (1, used)
    assert (await strict.prepare(ReceivedImage(PICTURE))).prepared


async def test_a_picture_does_not_wait_for_an_endless_queue_of_documents(preparer):
    documents = [asyncio.create_task(preparer.work(wait)) for _ in range(4)]
    await until(lambda: busy(preparer) == 1)

    judge(await preparer.prepare(ReceivedImage(PICTURE)), LIMITS)

    assert not any(document.done() for document in documents)
    for document in documents:
        document.cancel()
    await asyncio.gather(*documents, return_exceptions=True)


async def test_a_requests_cpu_time_in_decoders_is_bounded(preparer):
    with recording(RequestRecord(decoder_ms=1000 * REQUEST_CPU - 1)) as record:
        await preparer.work(burn, 0.01)
        with pytest.raises(ImageTimeoutError, match="used up"):
            await preparer.work(burn, 0.01)

    assert record.decoder_ms > 1000 * REQUEST_CPU


async def test_many_crashing_pictures_in_a_row_leave_a_working_pool(preparer):
    faults = [HANG, CRASH, KILL, DEVOUR] * 2
    poisoned = [preparer.prepare(ReceivedImage(PICTURE + fault)) for fault in faults]

    outcomes = await asyncio.gather(*poisoned, return_exceptions=True)

    assert all(isinstance(o, ImageTimeoutError | ImageDecoderError) for o in outcomes), outcomes
    judge(await preparer.prepare(ReceivedImage(PICTURE)), LIMITS)


async def test_a_worker_killed_between_two_pictures_is_replaced(preparer):
    for pid in workers(preparer):
        os.kill(pid, signal.SIGKILL)
    # Until Pebble has noticed; it checks ten times a second.
    await asyncio.sleep(0.3)

    judge(await preparer.prepare(ReceivedImage(PICTURE)), LIMITS)


async def test_turns_are_taken_by_the_caller_to_whom_a_request_counts(preparer, monkeypatch):
    callers = []
    take = DecoderQueue.take

    async def noted(queue: DecoderQueue, caller: str, *, heavy: bool) -> None:
        callers.append(caller)
        await take(queue, caller, heavy=heavy)

    monkeypatch.setattr(DecoderQueue, "take", noted)
    # Without keys all requests have the same caller.
    for address in ("10.0.0.1", "10.0.0.2"):
        with recording(RequestRecord(caller="anonymous", share=address)):
            await preparer.prepare(ReceivedImage(PICTURE))

    assert callers == ["10.0.0.1", "10.0.0.2"]


async def test_a_caller_who_leaves_stops_the_work(preparer):
    before = workers(preparer)
    leaving = [
        asyncio.create_task(preparer.prepare(ReceivedImage(PICTURE + HANG))) for _ in range(2)
    ]
    await until(lambda: busy(preparer) == 2)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)

    assert all(task.cancelled() for task in leaving)
    await until(lambda: not any(running(pid) for pid in before))
    judge(await preparer.prepare(ReceivedImage(PICTURE)), LIMITS)


async def leave_the_repair(preparer: PooledPreparer) -> set[int]:
    """Have a caller start the pool's repair and leave; return the workers that were started."""
    assert preparer._pool is not None
    preparer._pool.stop()
    await asyncio.to_thread(preparer._pool.join)
    before = children()
    leaving = asyncio.create_task(preparer.work(os.getpid))
    await until(lambda: children() > before)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert leaving.cancelled()
    return children() - before


def children() -> set[int]:
    return {child.pid for child in active_children() if child.pid is not None}


async def test_a_worker_restarted_for_a_caller_who_left_serves_the_next_one():
    async with PooledPreparer(LIMITS, workers=1) as preparer:
        started = await leave_the_repair(preparer)

        assert {await preparer.work(os.getpid)} == started
        assert workers(preparer) == started


async def test_a_worker_restarted_for_a_caller_who_left_ends_with_the_preparer():
    async with PooledPreparer(LIMITS, workers=1) as preparer:
        started = await leave_the_repair(preparer)

    assert not any(running(pid) for pid in started)


async def test_no_worker_outlives_the_preparer():
    async with PooledPreparer(LIMITS, workers=1) as preparer:
        (pid,) = workers(preparer)
        await preparer.prepare(ReceivedImage(PICTURE))
        assert running(pid)

    assert not running(pid)


async def test_the_real_decoders_work_under_the_memory_limit(preparer):
    # Decoders run at low priority: beside other tests they may wait longer than their limit.
    async with PooledPreparer(LIMITS, workers=1, timeout=30) as real:
        for data in (sample("arrow.heic"), encoded(photo(4000, 3000), "JPEG")):
            judge(await real.prepare(ReceivedImage(data)), LIMITS)


async def test_a_picture_that_exceeds_a_workers_memory_is_refused():
    # Even a small picture needs up to 560 MiB of addresses, mostly reserved by libvips' threads.
    limit = 600 * 1024 * 1024
    async with PooledPreparer(LIMITS, workers=1, timeout=30, memory=limit) as small:
        with pytest.raises((ImageDecoderError, ImageDamagedError)):
            await small.prepare(ReceivedImage(encoded(photo(9_000, 9_000), "BMP")[: 20 << 20]))
        judge(await small.prepare(ReceivedImage(PICTURE)), LIMITS)


async def test_contact_sheets_are_laid_out_in_a_worker(preparer):
    reports = [await preparer.prepare(ReceivedImage(PICTURE)) for _ in range(3)]

    sheet = await preparer.contact_sheet([report.prepared for report in reports])

    judge_picture(sheet.prepared, LIMITS)
    assert len(sheet.scales) == 3


async def test_a_loader_that_libvips_considers_unsafe_is_blocked_in_a_worker():
    async with PooledPreparer(LIMITS, workers=1, run=draw) as preparer:
        with pytest.raises(pyvips.Error):
            await preparer.prepare(ReceivedImage(PICTURE))
    # The loader is blocked, not missing: the same call works in this process.
    inspection = inspect(PICTURE, LIMITS)
    assert draw(ReceivedImage(PICTURE), inspection, LIMITS).prepared.width == 300


async def test_every_hostile_file_is_refused_with_its_own_code_and_the_pool_survives():
    async with PooledPreparer(LIMITS) as preparer:
        outcomes = await asyncio.gather(
            *(preparer.prepare(ReceivedImage(hostile.make())) for hostile in HOSTILE),
            return_exceptions=True,
        )
        judge(await preparer.prepare(ReceivedImage(PICTURE)), LIMITS)

    assert [getattr(outcome, "code", outcome) for outcome in outcomes] == [h.code for h in HOSTILE]
