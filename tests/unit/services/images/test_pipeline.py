import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from types import FrameType

import pytest

from app.domain.errors import NotAnImageError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage, Treatment
from app.services.concurrency.budget import Budget
from app.services.concurrency.fair_threads import FairThreads
from app.services.images.cache import KeptReports, NoReportCache
from app.services.images.inspection import header
from app.services.images.inspection.header import Inspection
from app.services.images.pipeline import PicturePipeline
from app.services.images.prepare import prepare_decoded
from fixtures.images import encoded, photo, sample

LIMITS = ImageLimits()


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    with closing(FairThreads("pictures")) as opened:
        yield opened


@dataclass
class Watched:
    """Decodes in this process, and records how many pixels are reserved meanwhile."""

    pixels: Budget
    in_use: list[int] = field(default_factory=list)

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        self.in_use.append(self.pixels.in_use)
        return prepare_decoded(image, inspection, LIMITS)


class Counted:
    """Counts inspections in this thread and in threads started meanwhile."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "Counted":
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        self.calls += event == "call" and frame.f_code is header.inspect.__code__


@pytest.mark.parametrize(
    ("size", "kind", "treatment"),
    [
        pytest.param((300, 200), "JPEG", Treatment.UNCHANGED, id="JPEG that fits"),
        pytest.param((300, 200), "PNG", Treatment.UNCHANGED, id="PNG that fits"),
        pytest.param((1800, 1200), "JPEG", Treatment.ENCODED, id="JPEG to shrink"),
        pytest.param((1800, 1200), "PNG", Treatment.ENCODED, id="PNG to shrink"),
        pytest.param((300, 200), "WEBP", Treatment.ENCODED, id="WebP"),
    ],
)
async def test_each_picture_is_inspected_once(size, kind, treatment, threads):
    data = encoded(photo(*size), kind)
    pixels = Budget("pixels", 10_000_000, 60)
    pipeline = PicturePipeline(
        Watched(pixels), LIMITS, pixels, KeptReports(1 << 22, threads), threads
    )

    with Counted() as inspections:
        report = await pipeline.prepare(ReceivedImage(data))

    assert report.treatment is treatment
    assert inspections.calls == 1


async def test_the_number_of_pixels_decoded_at_a_time_is_bounded(threads):
    pixels = Budget("pixels", 600 * 600, 60)
    decoders = Watched(pixels)
    pipeline = PicturePipeline(decoders, LIMITS, pixels, NoReportCache(), threads)

    for _ in range(2):
        await pipeline.prepare(ReceivedImage(encoded(photo(512, 512), "WEBP")))

    assert decoders.in_use == [512 * 512] * 2
    assert (pixels.peak, pixels.in_use) == (512 * 512, 0)


async def test_a_picture_passed_through_unchanged_reserves_no_pixels(threads):
    pixels = Budget("pixels", 1, 60)
    pipeline = PicturePipeline(Watched(pixels), LIMITS, pixels, NoReportCache(), threads)

    await pipeline.prepare(ReceivedImage(sample("astronaut.png")))

    assert pixels.peak == 0


async def test_a_file_that_is_not_a_picture_is_refused_without_a_reservation(threads):
    pixels = Budget("pixels", 1, 60)
    pipeline = PicturePipeline(Watched(pixels), LIMITS, pixels, NoReportCache(), threads)

    with pytest.raises(NotAnImageError) as raised:
        await pipeline.prepare(ReceivedImage(b"x", name="images.4"))

    assert raised.value.errors[0].field == "images.4"
    assert pixels.peak == 0
