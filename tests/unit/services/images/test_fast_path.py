from dataclasses import dataclass, field

import pytest

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage, Treatment
from app.services.images.fast_path import INLINE_BYTES, INLINE_SEGMENTS, PassingPreparer
from app.services.images.prepare import prepare
from tests.support.images import encoded, gnawed, photo, with_gps
from tests.support.judge import judge

LIMITS = ImageLimits()
FITS = encoded(photo(300, 200), "JPEG")
COMMENT = b"\xff\xfe\0\2"


@dataclass
class Asked:
    """Prepares as the pool does, and notes what it was asked for."""

    pictures: list[bytes] = field(default_factory=list)

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        self.pictures.append(image.data)
        return prepare(image, LIMITS)


@pytest.mark.parametrize(
    ("data", "treatment"), [(FITS, Treatment.UNCHANGED), (with_gps(), Treatment.STRIPPED)]
)
async def test_a_jpeg_that_fits_goes_through_as_it_would_behind(data, treatment):
    inner = Asked()
    image = ReceivedImage(data, "image/png", "images.2")

    report = await PassingPreparer(inner, LIMITS).prepare(image)

    judge(report, LIMITS)
    assert report == prepare(image, LIMITS)
    assert report.treatment is treatment
    assert inner.pictures == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(photo(300, 200)), id="another type"),
        pytest.param(encoded(photo(1800, 1200), "JPEG"), id="larger than the model takes"),
        pytest.param(encoded(photo().convert("CMYK"), "JPEG"), id="other colours"),
        pytest.param(FITS + bytes(INLINE_BYTES), id="many bytes"),
        pytest.param(FITS[:2] + COMMENT * INLINE_SEGMENTS + FITS[2:], id="many segments"),
        pytest.param(FITS[:-2] + COMMENT * INLINE_SEGMENTS + FITS[-2:], id="many at the end"),
    ],
)
async def test_a_picture_that_takes_work_is_left_to_the_others(data):
    inner = Asked()

    judge(await PassingPreparer(inner, LIMITS).prepare(ReceivedImage(data)), LIMITS)

    assert inner.pictures == [data]


async def test_what_is_wrong_with_a_jpeg_is_said_by_those_behind():
    inner = Asked()

    with pytest.raises(ImageDamagedError):
        await PassingPreparer(inner, LIMITS).prepare(ReceivedImage(gnawed(FITS)[:300]))

    assert len(inner.pictures) == 1
