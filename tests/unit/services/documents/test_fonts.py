"""Text whose font the PDF does not embed: drawn with an installed font, or reported."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from app.domain.errors import PageNotShownError
from app.services.documents import pdf_raster
from app.services.documents.fonts import Fonts
from app.services.documents.page import Cut, Tile
from app.services.geometry import Size
from tests.support.files.documents import pdf_of, stream, unembedded_pdf
from tests.support.files.pictures import DATA

NONE = Fonts(())
CJK = DATA / "droid-fallback-subset.ttf"
PAGE = Cut(1, Size(595, 842), Tile(0, 0, 595, 842))
UNEMBEDDED = (DATA / "pdf-cjk-not-embedded.pdf").read_bytes()


@pytest.fixture
def fonts(tmp_path: Path) -> Fonts:
    (tmp_path / "droid.ttf").write_bytes(CJK.read_bytes())
    return Fonts((str(tmp_path),))


def drawn(data: bytes, fonts: Fonts) -> tuple[Image.Image, list[str]]:
    image, warnings = pdf_raster.raster(data, PAGE, fonts=fonts)
    picture = Image.open(io.BytesIO(image.pngsave_buffer())).convert("L")
    return picture, [warning.message for warning in warnings]


def dark(picture: Image.Image, box: tuple[int, int, int, int]) -> int:
    return sum(picture.crop(box).histogram()[:128])


def test_text_whose_font_is_not_embedded_is_drawn_with_an_installed_one(fonts):
    picture, warnings = drawn(UNEMBEDDED, fonts)

    assert warnings == []
    ink = [row for row in range(picture.height) if dark(picture, (0, row, 595, row + 1))]
    assert len(ink) > 60


def test_a_font_collection_is_used_too(tmp_path):
    single = CJK.read_bytes()
    count = struct.unpack_from(">H", single, 4)[0]
    moved = bytearray(single)
    for entry in range(12, 12 + 16 * count, 16):
        (place,) = struct.unpack_from(">I", single, entry + 8)
        struct.pack_into(">I", moved, entry + 8, place + 16)
    header = struct.pack(">4sIII", b"ttcf", 0x10000, 1, 16)
    (tmp_path / "many.ttc").write_bytes(header + moved)

    picture, warnings = drawn(UNEMBEDDED, Fonts((str(tmp_path),)))

    assert warnings == []
    assert dark(picture, (0, 0, 595, 842)) > 500


def test_a_page_that_shows_none_of_its_text_is_refused_naming_its_fonts():
    with pytest.raises(PageNotShownError, match="STSong-Light, HeiseiMin-W3"):
        drawn(UNEMBEDDED, NONE)


def test_a_page_that_lacks_some_of_its_text_is_shown_with_a_warning():
    picture, warnings = drawn(unembedded_pdf("你好", "SimSun", latin="Total 12.00"), NONE)

    assert warnings == [
        "page 1: 2 characters in the font SimSun are not shown: the PDF does not embed it, and no "
        "font of this machine has them."
    ]
    assert dark(picture, (40, 220, 300, 250)) > 100


def test_an_installed_font_leaves_the_other_text_unchanged(fonts):
    data = unembedded_pdf("你好", "SimSun", latin="Total 12.00")
    plain, _ = drawn(data, NONE)
    picture, warnings = drawn(data, fonts)

    below = (0, 200, 595, 842)
    assert warnings == []
    assert picture.crop(below).tobytes() == plain.crop(below).tobytes()
    assert dark(picture, (40, 110, 300, 150)) > 100


def test_latin_letters_in_an_unembedded_font_stay_when_others_need_a_font(fonts):
    picture, warnings = drawn(unembedded_pdf("你12好", "SimSun"), fonts)

    assert warnings == []
    for left in (50, 74, 98, 122):
        assert dark(picture, (left, 115, left + 24, 150)) > 10


def test_a_page_with_substituted_fonts_does_not_affect_the_next(fonts):
    before = drawn(unembedded_pdf("你好", "SimSun", latin="a"), NONE)
    drawn(UNEMBEDDED, fonts)

    assert drawn(unembedded_pdf("你好", "SimSun", latin="a"), NONE)[1] == before[1]


def test_the_font_that_covers_most_of_a_text_is_chosen(fonts, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    best = fonts.best(frozenset("你好é"))

    assert best is not None
    assert best.path.name == "droid.ttf"
    assert fonts.best(frozenset("é")) is None


@pytest.mark.parametrize(
    "font",
    [
        b"<</Type/Font/Subtype/TrueType/BaseFont/Wingdings>>",
        b"<</Type/Font/Subtype/Type0/BaseFont/Foo/Encoding/Identity-H/DescendantFonts[6 0 R]>>",
    ],
)
def test_text_of_unknown_appearance_is_reported(font):
    name = b"Wingdings" if b"Wingdings" in font else b"Foo"
    data = pdf_of(
        b"/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>",
        more=[
            stream(b"BT /F 30 Tf 50 700 Td <0041> Tj ET"),
            font,
            b"<</Type/Font/Subtype/CIDFontType2/BaseFont/%b/DW 1000/CIDSystemInfo<<"
            b"/Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor 7 0 R>>" % name,
            b"<</Type/FontDescriptor/FontName/%b/Flags 4/FontBBox[0 0 9 9]/ItalicAngle 0>>" % name,
        ],
    )
    _, warnings = drawn(data, NONE)

    assert len(warnings) == 1
    assert f"in the font {name.decode()} may be shown as others" in warnings[0]


def test_a_thin_letter_counts_as_shown(tmp_path):
    iota = "\N{GREEK SMALL LETTER IOTA}"
    (tmp_path / "thin.ttf").write_bytes((DATA / "thin-iota.ttf").read_bytes())
    picture, warnings = drawn(unembedded_pdf(3 * iota, "Foo"), Fonts((str(tmp_path),)))

    assert warnings == []
    assert dark(picture, (40, 110, 300, 150)) > 10
