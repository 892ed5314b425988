"""Whatever a document's bytes are, each page gives a picture or a typed refusal."""

import io
import struct
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.domain.errors import ImageError
from app.domain.image import ImageLimits
from app.services.documents.render import Kind, PageSelection, cuts_whole, drawn, outline, tiled
from tests.support.files.documents import blank_pdf, pdf_of, stream, tiff, unembedded_pdf

LIMITS = ImageLimits(max_pixels=4_000_000)


@cache
def originals() -> tuple[bytes, ...]:
    pages = [Image.new(mode, (40, 30)) for mode in ("RGB", "L", "1")]
    text = b"/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    return (
        tiff(pages),
        tiff(pages, compression="tiff_lzw"),
        tiff(pages, big_tiff=True),
        blank_pdf((99, 99), (20, 400)),
        pdf_of(text, text, more=[stream(b"BT /F 9 Tf 9 9 Td (Words) Tj ET"), font]),
        unembedded_pdf("你好", "SimSun", latin="Total"),
    )


def flat_page(side: int) -> bytes:
    """Return a TIFF whose first page claims no pixel along its width (256) or height (257)."""
    data = bytearray(originals()[0])
    at = data.index(struct.pack("<HHI", side, 4, 1)) + 8
    data[at : at + 4] = bytes(4)
    return bytes(data)


def end(data: bytes, kind: Kind) -> list[str]:
    """Return the outcome of each page, or of the document."""
    try:
        pages = outline(data, kind, PageSelection(None, "high", text=True), LIMITS).pages
    except ImageError as error:
        return [error.code]
    return [
        page.fault.code if page.fault else _end(data, kind, page, detail)
        for page in pages
        for detail in ("auto", "high")
    ]


def _end(data: bytes, kind: Kind, page, detail: str) -> str:
    try:
        whole = cuts_whole(kind, page)
        cuts = whole if detail == "auto" else tiled(data, kind, page, LIMITS)
        for cut in cuts[:3]:
            picture = Image.open(io.BytesIO(drawn(data, kind, cut, LIMITS).png))
            assert picture.size == (cut.tile.width, cut.tile.height)
            assert max(picture.size) <= 1120
    except ImageError as error:
        return error.code
    return "drawn"


@given(
    which=st.integers(0, 5),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=0, max_size=6),
    length=st.floats(0.3, 1),
)
@settings(max_examples=200, deadline=None)
@example(which=0, edits=[], length=1.0)
@example(which=5, edits=[], length=1.0)
def test_a_mutated_document_gives_pictures_or_typed_refusals(which, edits, length):
    data = bytearray(originals()[which])
    for place, value in edits:
        data[place % len(data)] = value
    kept = bytes(data[: max(8, int(len(data) * length))])
    kind = Kind.PDF if which > 2 else Kind.TIFF

    result = end(kept, kind)
    assert result
    if not edits and length == 1:
        assert set(result) <= {"drawn", "page_not_shown"}


@pytest.mark.parametrize("side", [256, 257])
def test_a_page_without_pixels_is_damaged(side):
    assert end(flat_page(side), Kind.TIFF)[:2] == ["image_damaged"] * 2


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_a_page_one_pixel_wide_or_high_is_drawn(size):
    assert end(tiff([Image.new("L", size, 9)]), Kind.TIFF) == ["drawn", "drawn"]


@given(first=st.integers(0, 2**64 - 1), count=st.integers(0, 2**64 - 1))
@settings(max_examples=100, deadline=None)
@example(first=2**63, count=1)
@example(first=16, count=2**63)
def test_offsets_and_counts_of_64_bits_give_typed_refusals(first, count):
    data = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, first, count)

    assert "drawn" not in end(data, Kind.TIFF)
