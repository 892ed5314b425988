"""A PDF page's own text, and which of it the drawn page lacks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from ctypes import byref, c_int
from dataclasses import dataclass
from typing import cast
from unicodedata import category

import pypdfium2
import pypdfium2.raw as raw
from PIL import Image

MOST_CHARACTERS = 50_000
"""Most characters of a page. A newspaper's has 30,000."""
INVISIBLE = 3
"""Text render mode: OCR engines lay such text over a scan."""
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode's categories of what leaves no ink."""
_MARKS = {**dict.fromkeys((0xFFFE, 0x2), "-"), 0: None}
"""PDFium's own marks for a hyphen at a line's end, and for nothing."""
INK = 24
"""Difference of grey from which something counts as drawn, of 255."""


@dataclass(frozen=True, slots=True)
class Character:
    """A character in a font that the PDF does not embed."""

    text: str
    font: str
    place: tuple[float, float, float, float]
    """Left, bottom, right and top on the page."""


def text_layer(page: pypdfium2.PdfPage) -> str:
    """Return the page's own text, empty where it has none."""
    with closing(page.get_textpage()) as text:
        count = min(text.count_chars(), MOST_CHARACTERS)
        characters = text.get_text_range(0, count) if count > 0 else ""
    return characters.replace("\r\n", "\n").translate(_MARKS)


def foreign(page: pypdfium2.PdfPage) -> list[Character]:
    """Return the page's text in fonts that are neither in the PDF nor, for all of it, in PDFium."""
    with closing(page.get_textpage()) as text:
        count = min(text.count_chars(), MOST_CHARACTERS)
        if count < 1 or not any(map(_needs_font, text.get_text_range(0, count))):
            return []
        characters = list(_unembedded(text, count))
    fonts_needed = {character.font for character in characters if _needs_font(character.text)}
    return [character for character in characters if character.font in fonts_needed]


def _unembedded(text: pypdfium2.PdfTextPage, count: int) -> Iterator[Character]:
    for index in range(count):
        letter = _letter(text, index)
        if not letter or category(letter) in _UNSEEN:
            continue
        shown = raw.FPDFText_GetTextObject(text, index)
        font = raw.FPDFTextObj_GetFont(shown) if shown else None
        if not font or raw.FPDFFont_GetIsEmbedded(font) == 1:
            continue
        if raw.FPDFTextObj_GetTextRenderMode(shown) != INVISIBLE:
            name = pypdfium2.PdfFont(font).get_base_name()
            yield Character(letter, name, text.get_charbox(index))


def _letter(text: pypdfium2.PdfTextPage, index: int) -> str:
    """Return the character at ``index``; of a surrogate pair all at the first, none at the second.

    PDFium counts the halves of a pair as two.
    """
    code = raw.FPDFText_GetUnicode(text, index)
    if 0xD800 <= code < 0xDC00:
        low = raw.FPDFText_GetUnicode(text, index + 1)
        return chr(0x10000 + ((code - 0xD800) << 10) + (low & 0x3FF))
    return "" if 0xDC00 <= code < 0xE000 else chr(code)


def _needs_font(character: str) -> bool:
    """Whether PDFium's own fonts, which are for Western Europe, may lack ``character``."""
    return character > "\xff" and category(character) not in _UNSEEN


def fonts(page: pypdfium2.PdfPage) -> tuple[str, ...]:
    """Return the names of the fonts of the text that is meant to be seen, each once."""
    texts = page.get_objects(filter=(raw.FPDF_PAGEOBJ_TEXT,))
    visible = (text for text in texts if raw.FPDFTextObj_GetTextRenderMode(text) != INVISIBLE)
    return tuple(dict.fromkeys(text.get_font().get_base_name()[:80] for text in visible))


def is_blank(picture: Image.Image) -> bool:
    """Whether a grey picture shows nothing."""
    darkest, lightest = cast("tuple[int, int]", picture.getextrema())
    return lightest - darkest < INK


def missing(
    page: pypdfium2.PdfPage,
    picture: Image.Image,
    frame: tuple[int, int, int, int],
    characters: Iterable[Character],
) -> list[Character]:
    """Return the ``characters`` that leave no trace on the grey ``picture``.

    ``frame`` is left, top, width and height of the whole page in pixels of the picture.
    """
    return [
        character
        for character in characters
        # A mark has no box of its own: it is drawn over the letter before it.
        if not category(character.text).startswith("M")
        and (box := _pixels(page, frame, character.place, picture.size))
        and is_blank(picture.crop(box))
    ]


def _pixels(
    page: pypdfium2.PdfPage,
    frame: tuple[int, int, int, int],
    place: Sequence[float],
    size: tuple[int, int],
) -> tuple[int, int, int, int] | None:
    """Return a place on the page in pixels, None where it is not on the picture as a whole."""
    left, bottom, right, top = place
    across, down = [], []
    for x, y in ((left, bottom), (right, top)):
        column, row = c_int(), c_int()
        raw.FPDF_PageToDevice(page, *frame, 0, x, y, byref(column), byref(row))
        across.append(column.value)
        down.append(row.value)
    # A little more on each side: a hollow square's ink is on the edge of its box.
    margin = 1 + (max(down) - min(down)) // 10
    box = (min(across) - margin, min(down) - margin, max(across) + margin, max(down) + margin)
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]
    return box if inside else None
