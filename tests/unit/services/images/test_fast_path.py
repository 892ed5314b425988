import pytest

from app.domain.image import ImageLimits, ReceivedImage, Treatment
from app.services.images.fast_path import INLINE_BYTES, INLINE_SEGMENTS, glance, inline
from app.services.images.prepare import prepare
from fixtures.images import encoded, photo, with_gps
from tests.support.files.picture_judge import judge

LIMITS = ImageLimits()
INLINE = inline(LIMITS)
FITS = encoded(photo(300, 200), "JPEG")
COMMENT = b"\xff\xfe\0\2"


@pytest.mark.parametrize(
    ("data", "treatment"), [(FITS, Treatment.UNCHANGED), (with_gps(), Treatment.STRIPPED)]
)
def test_the_fast_path_gives_the_result_of_full_preparation(data, treatment):
    image = ReceivedImage(data, "image/png", "images.2")

    report = glance(image, INLINE).report

    assert report is not None
    judge(report, LIMITS)
    assert report == prepare(image, LIMITS)
    assert report.treatment is treatment


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
def test_a_picture_that_needs_work_is_left_to_the_full_preparation(data):
    assert glance(ReceivedImage(data), INLINE).report is None


def test_a_damaged_jpeg_is_left_to_the_full_preparation():
    assert glance(ReceivedImage(FITS[:100]), INLINE) == (None, None)
