"""Documents taken apart, in this process: the workers run the same functions."""

import io

import pytest
from PIL import Image

from app.domain.errors import (
    DocumentLockedError,
    ExtremeAspectRatioError,
    ImageDamagedError,
    ImageTooManyPixelsError,
    TooManyPagesError,
    UnsupportedImageTypeError,
)
from app.domain.image import ImageLimits
from app.services.documents.page import Band, Cut, cuts
from app.services.documents.render import Kind, drawn, outline
from app.services.geometry import Size
from tests.support.documents import FOUR_PAGES, LOCKED, blank_pdf, tiff
from tests.support.drawn import encoded

LIMITS = ImageLimits()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def stripes(*colours: str, size: tuple[int, int] = (200, 300)) -> Image.Image:
    image = Image.new("RGB", size)
    height = size[1] // len(colours)
    for number, colour in enumerate(colours):
        image.paste(colour, (0, number * height, size[0], (number + 1) * height))
    return image


def test_a_pdfs_pages_are_counted_and_measured_in_points():
    found = outline(FOUR_PAGES, Kind.PDF, "2-3", 50, LIMITS)

    assert found.count == 4
    assert found.pages == ((2, Size(595, 842)), (3, Size(595, 842)))


def test_a_pdfs_page_is_drawn_upright_on_white_within_what_the_model_takes():
    (cut,) = cuts(0, Size(595, 842), "auto")
    page = opened(drawn(FOUR_PAGES, Kind.PDF, cut, LIMITS))

    assert max(page.size) <= 1120
    assert max(page.size) > 1100
    assert page.getpixel((2, 2)) == (255, 255, 255)
    dark = sum(page.convert("L").histogram()[:128])
    assert dark > 5000


def test_different_pages_are_different_pictures():
    pages = {drawn(FOUR_PAGES, Kind.PDF, Cut(n, 400, Band(0, 1)), LIMITS) for n in range(4)}

    assert len(pages) == 4


def test_a_tiffs_pages_come_upright_and_in_their_colours():
    pages = [stripes("red", "blue"), stripes("lime", "black")]
    data = tiff(pages)
    found = outline(data, Kind.TIFF, None, 50, LIMITS)

    assert found.pages == ((1, Size(200, 300)), (2, Size(200, 300)))
    second = opened(drawn(data, Kind.TIFF, Cut(1, 1120, Band(0, 1)), LIMITS))
    assert second.size == (200, 300)
    assert second.getpixel((100, 50)) == (0, 255, 0)


def test_a_turned_tiff_page_is_turned_back():
    data = tiff([stripes("red", "blue"), stripes("red", "blue")], tiffinfo={0x0112: 3})
    page = opened(drawn(data, Kind.TIFF, Cut(0, 1120, Band(0, 1)), LIMITS))

    assert page.getpixel((100, 50)) == (0, 0, 255)


@pytest.mark.parametrize(("orientation", "top"), [(1, "red"), (3, "blue")])
def test_a_strip_is_cut_from_the_picture_as_a_viewer_shows_it(orientation, top):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stripes("red", "blue"), "PNG", exif=exif)
    strip = opened(drawn(data, Kind.PICTURE, Cut(0, 1120, Band(0, 0.5)), LIMITS))

    assert strip.size == (200, 150)
    assert strip.getpixel((100, 140)) == Image.new("RGB", (1, 1), top).getpixel((0, 0))


def test_a_document_with_a_password_is_refused_as_such():
    with pytest.raises(DocumentLockedError):
        outline(LOCKED, Kind.PDF, None, 50, LIMITS)


@pytest.mark.parametrize("data", [FOUR_PAGES[:3000], b"%PDF-1.7\n" + b"\0" * 200])
def test_a_damaged_pdf_is_refused(data):
    with pytest.raises(ImageDamagedError):
        outline(data, Kind.PDF, None, 50, LIMITS)


def test_a_damaged_tiff_page_is_refused():
    data = tiff([stripes("red"), stripes("blue")])
    broken = data[: len(data) // 4]

    with pytest.raises(ImageDamagedError):
        drawn(broken, Kind.TIFF, Cut(1, 1120, Band(0, 1)), LIMITS)


def test_more_pages_than_allowed_are_refused_unless_fewer_are_chosen():
    document = blank_pdf(*[(100, 100)] * 60)

    with pytest.raises(TooManyPagesError):
        outline(document, Kind.PDF, None, 50, LIMITS)
    assert [page for page, _ in outline(document, Kind.PDF, "59-", 50, LIMITS).pages] == [59, 60]


def test_a_page_like_a_thread_is_refused_before_it_is_drawn():
    with pytest.raises(ExtremeAspectRatioError):
        outline(blank_pdf((10, 14_000)), Kind.PDF, None, 50, LIMITS)


def test_a_tiff_page_of_other_samples_than_the_first_is_refused_by_name():
    data = tiff([stripes("red"), Image.new("F", (8, 8))])

    with pytest.raises(UnsupportedImageTypeError, match="Page 2 of the TIFF"):
        outline(data, Kind.TIFF, None, 50, LIMITS)


def test_a_tiff_page_over_the_pixel_limit_is_refused():
    data = tiff([stripes("red"), stripes("blue", size=(400, 400))])

    with pytest.raises(ImageTooManyPixelsError):
        outline(data, Kind.TIFF, None, 50, ImageLimits(max_pixels=100_000))
