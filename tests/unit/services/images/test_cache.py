import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.concurrency.fair_threads import FairThreads
from app.services.images.cache import ENTRY_OVERHEAD, KeptReports
from app.services.images.prepare import prepare
from fixtures.images import encoded, photo

LIMITS = ImageLimits()
SIZES = [(60, 40), (61, 40), (62, 40)]
PICTURES = [ReceivedImage(encoded(photo(*size)), "image/png") for size in SIZES]


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    with closing(FairThreads("pictures")) as opened:
        yield opened


@dataclass
class Counting:
    """Prepares at once or when released, and counts."""

    gate: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    cancelled: int = 0

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        self.asked.append(image.name)
        try:
            if self.gate:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return prepare(image, LIMITS)


async def started(count: int, *coroutines):
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    for _ in range(count):
        await asyncio.sleep(0)
    return tasks


async def test_a_repeated_picture_is_prepared_once(threads):
    inner = Counting()
    cache = KeptReports(1 << 20, threads)

    first = await cache.report(PICTURES[0], inner.prepare)
    copy = bytes(bytearray(PICTURES[0].data))
    second = await cache.report(ReceivedImage(copy, "image/png", "b"), inner.prepare)

    assert first == second
    assert len(inner.asked) == 1


async def test_a_cached_report_is_adapted_to_the_type_declared_this_time(threads):
    inner = Counting()
    cache = KeptReports(1 << 20, threads)
    data = PICTURES[0].data
    await cache.report(PICTURES[0], inner.prepare)

    wrong = await cache.report(ReceivedImage(data, "image/gif"), inner.prepare)
    silent = await cache.report(ReceivedImage(data), inner.prepare)

    assert wrong == prepare(ReceivedImage(data, "image/gif"), LIMITS)
    assert [warning.code for warning in wrong.warnings] == ["declared_type_corrected"]
    assert silent == prepare(ReceivedImage(data), LIMITS)


async def test_cached_pictures_never_exceed_the_bound_and_the_least_recently_used_goes_first(
    threads,
):
    inner = Counting()
    cost = [len(picture.data) + ENTRY_OVERHEAD for picture in PICTURES]
    bound = cost[0] + max(cost[1:])
    cache = KeptReports(bound, threads)

    for index in (0, 1, 0, 2):
        await cache.report(PICTURES[index], inner.prepare)
        assert cache.bytes_held <= bound
    await cache.report(PICTURES[0], inner.prepare)
    assert len(inner.asked) == 3
    await cache.report(PICTURES[1], inner.prepare)
    assert len(inner.asked) == 4


async def test_a_picture_larger_than_the_whole_cache_is_prepared_and_not_cached(threads):
    inner = Counting()
    cache = KeptReports(100, threads)

    assert (await cache.report(PICTURES[0], inner.prepare)).prepared.width == 60
    assert cache.bytes_held == 0


async def test_a_picture_being_prepared_is_waited_for(threads):
    inner = Counting(asyncio.Event())
    cache = KeptReports(1 << 20, threads)
    tasks = await started(3, *(cache.report(PICTURES[0], inner.prepare) for _ in range(5)))
    assert inner.gate is not None
    inner.gate.set()

    reports = await asyncio.gather(*tasks)

    assert len(inner.asked) == 1
    assert all(report == reports[0] for report in reports)


async def test_one_leaving_caller_does_not_take_the_picture_from_the_others(threads):
    inner = Counting(asyncio.Event())
    cache = KeptReports(1 << 20, threads)
    leaver, stayer = await started(3, *(cache.report(PICTURES[0], inner.prepare) for _ in range(2)))
    leaver.cancel()
    await asyncio.sleep(0)
    assert inner.gate is not None
    inner.gate.set()

    assert (await stayer).prepared.width == 60
    assert inner.cancelled == 0


async def test_the_work_stops_when_the_last_caller_has_left_and_restarts_for_the_next(threads):
    inner = Counting(asyncio.Event())
    cache = KeptReports(1 << 20, threads)
    (leaver,) = await started(3, cache.report(PICTURES[0], inner.prepare))
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    (comer,) = await started(3, cache.report(PICTURES[0], inner.prepare))
    assert inner.gate is not None
    inner.gate.set()

    assert (await comer).prepared.width == 60
    assert (inner.cancelled, len(inner.asked)) == (1, 2)


async def test_a_refusal_reaches_every_waiting_caller_and_is_not_cached(threads):
    inner = Counting()
    cache = KeptReports(1 << 20, threads)
    broken = ReceivedImage(PICTURES[0].data[:60])

    outcomes = await asyncio.gather(
        *(cache.report(broken, inner.prepare) for _ in range(3)), return_exceptions=True
    )
    with pytest.raises(ImageDamagedError):
        await cache.report(broken, inner.prepare)

    assert [type(outcome) for outcome in outcomes] == [ImageDamagedError] * 3
    assert len(inner.asked) == 2
    assert cache.bytes_held == 0
