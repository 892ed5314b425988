"""Rendering of documents in this process, with the functions that workers run."""

import io
import zlib

import pypdfium2
import pytest
from PIL import Image, ImageChops

from app.domain.errors import (
    DocumentEmptyError,
    DocumentLockedError,
    ExtremeAspectRatioError,
    ImageDamagedError,
    ImageTooManyPixelsError,
    PageNotShownError,
    TooManyPagesError,
    UnsupportedImageTypeError,
)
from app.domain.image import ImageLimits
from app.services.documents import pdf_raster, render
from app.services.documents.fonts import Fonts
from app.services.documents.page import Cut, Tile
from app.services.documents.render import Kind, Page, PageSelection, cuts_whole, outline, tiled
from app.services.geometry import Size
from tests.support.files.documents import FOUR_PAGES, LOCKED, blank_pdf, pdf, pdf_of, stream, tiff
from tests.support.files.drawn_words import encoded
from tests.support.files.pictures import DATA
from tests.support.files.tiff import chained, directory

LIMITS = ImageLimits()
ALL = PageSelection(None, "auto")
HIGH = PageSelection(None, "high")
ODD = (DATA / "pdf-page-2-of-3-too-narrow.pdf").read_bytes()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def drawn(data: bytes, kind: Kind, cut: Cut) -> Image.Image:
    return opened(render.drawn(data, kind, cut, LIMITS).png)


def cut_of(page: int, size: tuple[int, int]) -> Cut:
    return Cut(page, Size(*size), Tile(0, 0, *size))


def stripes(*colours: str, size: tuple[int, int] = (200, 300)) -> Image.Image:
    image = Image.new("RGB", size)
    height = size[1] // len(colours)
    for number, colour in enumerate(colours):
        image.paste(colour, (0, number * height, size[0], (number + 1) * height))
    return image


def test_a_pdfs_pages_are_counted_and_measured_in_points():
    result = outline(FOUR_PAGES, Kind.PDF, PageSelection("2-3", "auto"), LIMITS)

    assert result.count == 4
    assert result.pages == (Page(2, Size(595, 842)), Page(3, Size(595, 842)))


def test_a_pages_user_unit_changes_neither_its_size_nor_its_content():
    contents = b"BT /F 9 Tf 9 50 Td (Text) Tj ET"
    usual = page_of(contents)
    scaled = page_of(contents).replace(b"/Type/Page/", b"/UserUnit 9/Type/Page/")
    page = outline(scaled, Kind.PDF, ALL, LIMITS).pages[0]
    (cut,) = cuts_whole(Kind.PDF, page)

    assert scaled != usual
    assert page.size == Size(99, 99)
    assert render.drawn(scaled, Kind.PDF, cut, LIMITS) == render.drawn(usual, Kind.PDF, cut, LIMITS)


def test_a_pages_text_layer_is_returned_on_request():
    pages = outline(FOUR_PAGES, Kind.PDF, PageSelection("1", "auto", text=True), LIMITS).pages

    assert pages[0].text is not None
    assert pages[0].text.startswith("Hello, here is some text without a meaning.")
    assert "\r" not in pages[0].text


def test_a_pdf_page_is_drawn_upright_on_white_within_the_models_size():
    (page,) = outline(FOUR_PAGES, Kind.PDF, PageSelection("1", "auto"), LIMITS).pages
    picture = drawn(FOUR_PAGES, Kind.PDF, cuts_whole(Kind.PDF, page)[0])

    assert max(picture.size) == 1120
    assert picture.getpixel((2, 2)) == (255, 255, 255)
    assert sum(picture.convert("L").histogram()[:128]) > 5000


def test_different_pages_are_different_pictures():
    pages = {drawn(FOUR_PAGES, Kind.PDF, cut_of(n, (400, 566))).tobytes() for n in range(1, 5)}

    assert len(pages) == 4


def test_a_tile_has_exactly_the_pixels_of_the_page():
    whole = drawn(FOUR_PAGES, Kind.PDF, cut_of(1, (1120, 1584)))
    tile = Tile(300, 500, 640, 240)
    part = drawn(FOUR_PAGES, Kind.PDF, Cut(1, Size(1120, 1584), tile))

    # Antialiasing may differ at a cut letter.
    difference = ImageChops.difference(part, whole.crop((300, 500, 940, 740))).convert("L")
    assert sum(difference.histogram()[48:]) < 0.001 * 640 * 240


def test_tiff_pages_come_upright_and_in_their_colours():
    pages = [stripes("red", "blue"), stripes("lime", "black")]
    data = tiff(pages)

    assert outline(data, Kind.TIFF, ALL, LIMITS).pages == (
        Page(1, Size(200, 300)),
        Page(2, Size(200, 300)),
    )
    second = drawn(data, Kind.TIFF, cut_of(2, (200, 300)))
    assert second.getpixel((100, 50)) == (0, 255, 0)


def test_a_rotated_tiff_page_is_turned_upright():
    data = tiff([stripes("red", "blue"), stripes("red", "blue")], tiffinfo={0x0112: 3})
    page = drawn(data, Kind.TIFF, cut_of(1, (200, 300)))

    assert page.getpixel((100, 50)) == (0, 0, 255)


@pytest.mark.parametrize("tags", [{254: 1}, {255: 2}, {254: 4}], ids=["smaller", "old", "mask"])
def test_a_tiffs_thumbnail_or_mask_is_not_a_page(tags):
    file = io.BytesIO()
    with Image.new("RGB", (20, 30), "red") as small, Image.new("RGB", (200, 300), "lime") as page:
        small.save(file, "TIFF", save_all=True, append_images=[page, page], tiffinfo=tags)
    # Pillow writes the tags on every page: only the first one keeps its own.
    data = bytearray(file.getvalue())
    (tag,) = tags
    _clear_after_first(data, tag)
    result = outline(bytes(data), Kind.TIFF, ALL, LIMITS)

    assert result.pages == (Page(1, Size(200, 300)), Page(2, Size(200, 300)))
    assert drawn(bytes(data), Kind.TIFF, cut_of(1, (200, 300))).getpixel((9, 9)) == (0, 255, 0)


def _clear_after_first(data: bytearray, tag: int) -> None:
    entry = tag.to_bytes(2, "little") + b"\4\0\1\0\0\0"
    short = tag.to_bytes(2, "little") + b"\3\0\1\0\0\0"
    at = max(data.find(entry), data.find(short))
    while (at := max(data.find(entry, at + 1), data.find(short, at + 1))) > 0:
        data[at + 8 : at + 12] = b"\0\0\0\0"


def test_the_thumbnail_of_a_real_file_is_not_a_page():
    data = (DATA / "tiff-with-thumbnail.tif").read_bytes()

    assert [page.size for page in outline(data, Kind.TIFF, ALL, LIMITS).pages] == [Size(600, 800)]


@pytest.mark.parametrize(("orientation", "top"), [(1, "red"), (3, "blue")])
def test_a_tile_is_cut_from_the_picture_as_a_viewer_shows_it(orientation, top):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stripes("red", "blue"), "PNG", exif=exif)
    tile = drawn(data, Kind.PICTURE, Cut(1, Size(200, 300), Tile(0, 0, 200, 150)))

    assert tile.size == (200, 150)
    assert tile.getpixel((100, 140)) == Image.new("RGB", (1, 1), top).getpixel((0, 0))


REFUSED_WHOLE = {
    "a password": (LOCKED, DocumentLockedError, "password"),
    "a certificate": (
        (DATA / "pdf-certificate-encrypted.pdf").read_bytes(),
        DocumentLockedError,
        "certificate",
    ),
    "no pages": ((DATA / "pdf-no-pages.pdf").read_bytes(), DocumentEmptyError, "no pages"),
    "no page tree": (pdf_of(), DocumentEmptyError, "no pages"),
    "half a file": (FOUR_PAGES[:3000], ImageDamagedError, "damaged"),
    "noise": (b"%PDF-1.7\n" + b"\0" * 200, ImageDamagedError, "damaged"),
}


@pytest.mark.parametrize("data", REFUSED_WHOLE.values(), ids=REFUSED_WHOLE)
def test_the_refusal_of_a_whole_document_gives_the_reason(data):
    content, error, words = data
    # PDFium's messages about the previous file must not be reported for this one.
    for before in (FOUR_PAGES[:3000], LOCKED, FOUR_PAGES):
        with pytest.raises((ImageDamagedError, DocumentLockedError, TooManyPagesError)):
            outline(before, Kind.PDF, PageSelection(None, "auto", most=0), LIMITS)
        with pytest.raises(error, match=words):
            outline(content, Kind.PDF, ALL, LIMITS)


def faults(data: bytes, kind: Kind, wanted: PageSelection = ALL) -> list[type | None]:
    pages = outline(data, kind, wanted, LIMITS).pages
    return [None if page.fault is None else type(page.fault) for page in pages]


def test_a_page_that_cannot_be_shown_fails_alone():
    box = b"/MediaBox[0 0 300 300]"
    good, cropped = box, box + b"/CropBox[400 400 500 500]"

    assert faults(ODD, Kind.PDF) == [None, ExtremeAspectRatioError, None]
    assert faults(pdf_of(good, cropped, good), Kind.PDF) == [None, ImageDamagedError, None]
    pages = [stripes("red"), Image.new("F", (8, 8)), stripes("lime")]
    assert faults(tiff(pages), Kind.TIFF) == [None, UnsupportedImageTypeError, None]
    assert faults(tiff(list(reversed(pages))), Kind.TIFF)[1] is UnsupportedImageTypeError
    assert faults(tiff([pages[1], pages[0]]), Kind.TIFF) == [UnsupportedImageTypeError, None]


def test_the_error_of_a_page_names_the_page_and_the_reason():
    data = pdf_of(b"/MediaBox[0 0 9 9]", b"/MediaBox[0 0 9 9]/CropBox[20 20 30 30]")
    fault = outline(data, Kind.PDF, ALL, LIMITS).pages[1].fault

    assert fault is not None
    assert fault.detail.startswith("page 2: Its CropBox lies outside its MediaBox")


def test_a_long_strip_is_cut_into_tiles_on_request():
    page = outline(ODD, Kind.PDF, PageSelection("2", "high"), LIMITS).pages[0]
    pieces = tiled(ODD, Kind.PDF, page, LIMITS)

    # The text is at the foot; blank parts are not shown.
    assert 1 <= len(pieces) <= 3
    assert pieces[-1].tile.top > 0.9 * pieces[-1].drawn.height
    assert all(piece.tile.width <= 1120 and piece.tile.height <= 1120 for piece in pieces)


def test_tiff_pages_of_any_storage_have_the_colours_of_pictures():
    red = (255, 0, 0)
    data = chained(
        [
            directory(red, photometric=2, size=20),
            directory((*red, 128), photometric=2, extras=(0,), size=20),
            directory((*red, 0, 9), photometric=2, extras=(0, 0), size=20),
            directory((76, 85, 255), photometric=6, size=20),
        ]
    )
    for number in range(1, 5):
        page = drawn(data, Kind.TIFF, cut_of(number, (20, 20)))
        difference = ImageChops.difference(page, Image.new("RGB", page.size, red))
        assert page.mode == "RGB"
        assert not any(difference.convert("L").histogram()[4:]), number


def test_a_damaged_directory_ends_the_pages_before_it():
    data = bytearray(chained([directory((255, 0, 0), photometric=2, size=20)]))
    data[-4:] = b"\xff\xff\xff\x7f"

    assert outline(bytes(data), Kind.TIFF, ALL, LIMITS).pages == (Page(1, Size(20, 20)),)


def test_a_damaged_tiff_page_is_refused():
    data = tiff([stripes("red"), stripes("blue")])
    broken = data[: len(data) // 4]

    with pytest.raises(ImageDamagedError):
        drawn(broken, Kind.TIFF, cut_of(1, (200, 300)))


def test_more_pages_than_allowed_are_refused_unless_fewer_are_chosen():
    document = blank_pdf(*[(100, 100)] * 60)

    with pytest.raises(TooManyPagesError, match=r"60 of 60 pages .* at most 50 of all files"):
        outline(document, Kind.PDF, ALL, LIMITS)
    with pytest.raises(TooManyPagesError, match="and 49 of other files"):
        outline(document, Kind.PDF, PageSelection("1-2", "auto", before=49), LIMITS)
    pages = outline(document, Kind.PDF, PageSelection("59-", "auto"), LIMITS).pages
    assert [page.number for page in pages] == [59, 60]


def test_a_tiff_page_over_the_pixel_limit_fails_alone():
    data = tiff([stripes("red"), stripes("blue", size=(400, 400))])
    pages = outline(data, Kind.TIFF, ALL, ImageLimits(max_pixels=100_000)).pages

    assert pages[0].fault is None
    assert isinstance(pages[1].fault, ImageTooManyPixelsError)


def test_annotations_that_are_not_drawn_are_reported():
    annotation = b"<</Type/Annot/Subtype/%b/Rect[50 50 250 250]/F %d>>"
    data = pdf_of(
        b"/MediaBox[0 0 300 300]/Annots[4 0 R 5 0 R 6 0 R]",
        more=[annotation % (b"Stamp", 4), annotation % (b"Square", 4), annotation % (b"Line", 2)],
    )
    drawing = render.drawn(data, Kind.PDF, cut_of(1, (300, 300)), LIMITS)

    assert [warning.message for warning in drawing.warnings] == [
        "page 1: 1 annotation(s) of the kind Stamp without an appearance stream are not drawn."
    ]


@pytest.mark.parametrize(
    ("appearance", "told"),
    [(b"", 1), (b"/N null", 1), (b"/D 5 0 R", 1), (b"/N 5 0 R", 0), (b"/N<</On 5 0 R>>", 0)],
)
def test_an_annotation_without_an_appearance_is_reported(appearance, told):
    stamp = b"<</Type/Annot/Subtype/Stamp/Rect[50 50 250 250]/F 4/AS/On/AP<<%b>>>>" % appearance
    shape = b"<</Subtype/Form/BBox[0 0 9 9]/Length 12>>stream\n0 0 9 9 re f\nendstream"
    data = pdf_of(b"/MediaBox[0 0 300 300]/Annots[4 0 R]", more=[stamp, shape])
    drawing = render.drawn(data, Kind.PDF, cut_of(1, (300, 300)), LIMITS)

    assert len(drawing.warnings) == told
    assert any(opened(drawing.png).convert("L").histogram()[:128]) is not bool(told)


def test_an_empty_page_without_text_is_shown():
    assert (
        drawn(blank_pdf((99, 99)), Kind.PDF, cut_of(1, (99, 99))).getextrema() == ((255, 255),) * 3
    )


HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
FONT = b"/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>"


def page_of(content: bytes, *, picture: tuple[bytes, bytes] | None = None) -> bytes:
    """Return a PDF of one page that may draw a picture /I, given as filter and bytes."""
    packed, data = picture or (b"DCTDecode", b"")
    image = (
        b"<</Type/XObject/Subtype/Image/Width 9/Height 9/ColorSpace/DeviceGray/BitsPerComponent 8"
        b"/Filter/%b/Length %d>>stream\n%b\nendstream" % (packed, len(data), data)
    )
    names = FONT + b"/XObject<</I 6 0 R>>>>"
    return pdf_of(names, more=[stream(content), HELVETICA, image])


HIDDEN = b"BT 3 Tr /F 9 Tf 9 9 Td (Hidden) Tj ET "
SCAN = b"q 80 0 0 80 9 9 cm /I Do Q "


def test_hidden_text_over_a_scan_does_not_change_the_page():
    data = page_of(HIDDEN + SCAN, picture=(b"FlateDecode", zlib.compress(b"\0" * 81)))
    drawing = render.drawn(data, Kind.PDF, cut_of(1, (99, 99)), LIMITS)

    assert drawing.warnings == ()
    assert Image.open(io.BytesIO(drawing.png)).getpixel((50, 50)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (page_of(HIDDEN), "although it has text: hidden"),
        (page_of(b"1 g BT /F 9 Tf 9 9 Td (White) Tj ET"), "although it has text, in Helvetica"),
        (
            page_of(SCAN, picture=(b"JPXDecode", b"noise")),
            r"picture \(JPXDecode\) can't be decoded",
        ),
        (page_of(HIDDEN + SCAN, picture=(b"DCTDecode", b"noise")), "picture"),
    ],
)
def test_a_blank_rendering_of_a_page_with_content_is_refused_with_the_reason(data, words):
    with pytest.raises(PageNotShownError, match=words):
        render.drawn(data, Kind.PDF, cut_of(1, (99, 99)), LIMITS)
    # Before it is cut into tiles, the page is checked as a whole.
    with pytest.raises(PageNotShownError, match=words):
        tiled(data, Kind.PDF, Page(1, Size(99, 99)), LIMITS)


def test_a_blank_picture_is_a_page_like_any_other():
    white = (b"FlateDecode", zlib.compress(b"\xff" * 81))
    assert drawn(page_of(SCAN, picture=white), Kind.PDF, cut_of(1, (99, 99))).size == (99, 99)


def test_a_picture_that_cannot_be_decoded_is_reported_beside_the_rest_of_the_page():
    text = b"BT /F 9 Tf 9 90 Td (Text) Tj ET "
    data = page_of(text + SCAN, picture=(b"DCTDecode", b"noise"))
    drawing = render.drawn(data, Kind.PDF, cut_of(1, (99, 99)), LIMITS)

    assert [warning.message for warning in drawing.warnings] == [
        "page 1: 1 picture(s) can't be decoded and are not drawn (DCTDecode)."
    ]


def form_of(field: bytes, listed: bytes = b"") -> bytes:
    """Return a PDF of a page with one form field; ``listed`` are the fields of the form."""
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%b]/DA(/H 12 Tf 0 g)"
        b"/DR<</Font<</H 4 0 R>>>>>>>>" % listed,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Annots[5 0 R]>>",
        HELVETICA,
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/F 4/Rect[9 9 90 40]/P 3 0 R%b>>" % field,
    )


def test_a_form_fields_value_is_drawn_in_any_script_or_reported():
    cut = cut_of(1, (99, 99))
    greek = b"/V<FEFF" + "αβγ".encode("utf-16-be").hex().encode() + b">"
    chinese = b"/V<FEFF" + "你好".encode("utf-16-be").hex().encode() + b">"
    none = Fonts(())

    shown = drawn(form_of(b"/V(abc)", b"5 0 R"), Kind.PDF, cut).convert("L")
    assert any(shown.histogram()[:128])
    for value in (greek, chinese):
        _, warnings = pdf_raster.raster(form_of(value, b"5 0 R"), cut, fonts=none)
        assert [warning.code for warning in warnings] == ["font_missing"]
        assert "characters of form fields are not shown" in warnings[0].message


def test_a_form_that_only_its_own_viewer_can_draw_is_reported():
    usual = form_of(b"/V(abc)", b"5 0 R").replace(b"/AcroForm<<", b"/AcroForm<</XFA(form)")
    dynamic = usual.replace(b"/Type/Catalog", b"/Type/Catalog/NeedsRendering true")
    cut = cut_of(1, (99, 99))
    warnings = render.drawn(dynamic, Kind.PDF, cut, LIMITS).warnings

    assert [warning.code for warning in warnings] == ["annotation_not_drawn"]
    assert "XFA form is not drawn" in warnings[0].message
    assert render.drawn(usual, Kind.PDF, cut, LIMITS).warnings == ()


def test_the_value_of_a_field_outside_the_form_is_reported():
    drawing = render.drawn(
        form_of(b"/V(abc)").replace(b"/AcroForm", b"/AcroNone"),
        Kind.PDF,
        cut_of(1, (99, 99)),
        LIMITS,
    )
    assert [warning.code for warning in drawing.warnings] == ["annotation_not_drawn"]
    assert "of the kind Widget" in drawing.warnings[0].message


def test_files_inside_a_pdf_are_reported_as_not_read():
    with pypdfium2.PdfDocument(FOUR_PAGES) as document:
        for name in ("first.pdf", "second.pdf"):
            document.new_attachment(name).set_data(b"%PDF-1.4")
        document.save(portfolio := io.BytesIO())
    cut = cut_of(2, (99, 99))
    warnings = render.drawn(portfolio.getvalue(), Kind.PDF, cut, LIMITS).warnings

    assert [warning.code for warning in warnings] == ["attachments_not_read"]
    assert warnings[0].message.startswith("2 file(s) inside the PDF")
    assert render.drawn(FOUR_PAGES, Kind.PDF, cut, LIMITS).warnings == ()
