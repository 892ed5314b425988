import pytest
from PIL import Image

from app.domain.errors import ImageDamagedError, TooManyImagesError
from app.domain.image import ImageLimits, ImageType, PreparedImage, ReceivedImage
from app.services.images.drawing.sheet import arrange, contact_sheet
from app.services.images.prepare import prepare
from fixtures.images import encoded, photo
from tests.support.files.picture_judge import judge_picture

LIMITS = ImageLimits()
COLOURS = [(200, 0, 0), (0, 160, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200), (200, 0, 200)]


def plain(count: int, width: int = 300, height: int = 200) -> list[PreparedImage]:
    return [
        prepare(ReceivedImage(encoded(Image.new("RGB", (width, height), colour))), LIMITS).prepared
        for colour in (COLOURS * 3)[:count]
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16])
def test_every_picture_is_on_the_sheet_in_reading_order_and_within_the_contract(count):
    sheet = contact_sheet(plain(count), LIMITS)

    picture = judge_picture(sheet.prepared, LIMITS).convert("RGB")
    assert sheet.columns * sheet.rows >= count
    assert len(sheet.scales) == count
    step_x, step_y = picture.width / sheet.columns, picture.height / sheet.rows
    for index in range(count):
        x = int((index % sheet.columns + 0.5) * step_x)
        y = int((index // sheet.columns + 0.6) * step_y)
        seen = picture.getpixel((x, y))
        assert isinstance(seen, tuple)
        assert max(abs(a - b) for a, b in zip(seen, (COLOURS * 3)[index], strict=True)) < 12


def test_each_picture_has_its_own_label_above_it():
    picture = judge_picture(contact_sheet(plain(4), LIMITS).prepared, LIMITS).convert("L")
    width, height = picture.width // 2, picture.height // 2
    bands = {
        picture.crop((x, y, x + 60, y + 36)).tobytes()
        for x in (12, 12 + width - 6)
        for y in (12, 12 + height - 6)
    }

    assert len(bands) == 4
    assert all(min(band) < 60 and max(band) > 200 for band in bands)


def test_tall_pictures_stand_side_by_side_and_wide_ones_are_stacked():
    assert arrange([(300, 1100)] * 3, 1120).columns == 3
    assert arrange([(1100, 300)] * 3, 1120).columns == 1


def test_small_pictures_are_not_enlarged():
    assert contact_sheet(plain(2, 40, 30), LIMITS).scales == (1.0, 1.0)


def test_strong_shrinking_is_reported():
    codes = [w.code for w in contact_sheet(plain(9, 1100, 800), LIMITS).warnings]

    assert codes == ["small_text_illegible"]


def test_photographs_of_different_shapes_fit_the_byte_budget():
    limits = ImageLimits(byte_budget=60_000)
    pictures = [
        prepare(ReceivedImage(encoded(photo(w, h), "JPEG")), LIMITS).prepared
        for w, h in [(1000, 400), (300, 900), (640, 480)]
    ]

    judge_picture(contact_sheet(pictures, limits).prepared, limits)


@pytest.mark.parametrize("count", [0, 17])
def test_no_pictures_or_too_many_are_refused(count):
    with pytest.raises(TooManyImagesError, match=f"{count} were given"):
        contact_sheet(plain(1) * count, LIMITS)


def test_a_damaged_picture_that_was_passed_through_is_refused():
    broken = PreparedImage(b"\x89PNG\r\n\x1a\n" + bytes(40), ImageType.PNG, 10, 10, "")

    with pytest.raises(ImageDamagedError):
        contact_sheet([broken], LIMITS)
