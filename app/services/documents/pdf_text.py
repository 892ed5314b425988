"""Reads a PDF page's own text and finds characters that the drawn page lacks."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from ctypes import byref, c_int
from dataclasses import dataclass
from math import sin
from typing import cast
from unicodedata import category

import pypdfium2
import pypdfium2.raw as raw
from PIL import Image

MOST_CHARACTERS = 50_000
"""Maximum characters of a page; a newspaper page has 30,000."""
INVISIBLE = 3
"""Text render mode of the invisible text that OCR engines add to scans."""
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories of characters without ink."""
_MARKS = {**dict.fromkeys((0xFFFE, 0x2), "-"), 0: None}
"""Replacements of PDFium's marks for a hyphen at a line's end and for nothing."""
_SIGNS = re.compile("wingdings|webdings|marlett|monotype ?sorts|mt ?extra", re.IGNORECASE)
"""Matches fonts with symbols in place of letters, which PDFium does not have."""
LEVEL = 0.5
"""Sine of the steepest angle of text that runs across the page rather than up or down."""
INK = 24
"""Minimum difference of grey levels, of 255, that counts as drawn."""

Frame = tuple[int, int, int, int]
"""Left, top, width and height of a whole page, in pixels of an image of the page or its part."""
PixelBox = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Character:
    """A character in a font that the PDF does not embed."""

    text: str
    font: str
    place: tuple[float, float, float, float]
    """Left, bottom, right and top on the page, in points."""


def text_layer(page: pypdfium2.PdfPage) -> str:
    """Return the page's own text, which is empty if it has none."""
    with closing(page.get_textpage()) as text:
        count = min(text.count_chars(), MOST_CHARACTERS)
        characters = text.get_text_range(0, count) if count > 0 else ""
    return characters.replace("\r\n", "\n").translate(_MARKS)


def foreign(page: pypdfium2.PdfPage) -> list[Character]:
    """Return the page's text in unembedded fonts for which PDFium's own fonts do not suffice."""
    with closing(page.get_textpage()) as text:
        count = min(text.count_chars(), MOST_CHARACTERS)
        if count < 1 or not any(map(needs_font, text.get_text_range(0, count))):
            return []
        characters = list(_unembedded(text, count))
    fonts_needed = {character.font for character in characters if needs_font(character.text)}
    return [character for character in characters if character.font in fonts_needed]


def _unembedded(text: pypdfium2.PdfTextPage, count: int) -> Iterator[Character]:
    for index in range(count):
        letter = _letter(text, index)
        if not letter or category(letter) in _UNSEEN:
            continue
        name = _unembedded_font(text, index)
        if name is not None:
            yield Character(letter, name, _place(text, index))


def _unembedded_font(text: pypdfium2.PdfTextPage, index: int) -> str | None:
    """Return the font of a visible character, or None if the font is embedded."""
    shown = raw.FPDFText_GetTextObject(text, index)
    font = raw.FPDFTextObj_GetFont(shown) if shown else None
    if not font or raw.FPDFFont_GetIsEmbedded(font) == 1:
        return None
    if raw.FPDFTextObj_GetTextRenderMode(shown) == INVISIBLE:
        return None
    name: str = pypdfium2.PdfFont(font).get_base_name()
    return name


def _place(text: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    """Return the area in which a character may have ink, along its whole advance.

    A font of this machine places it differently than PDFium's own font, which set its tight box.
    """
    left, bottom, right, top = text.get_charbox(index)
    room = text.get_charbox(index, loose=True)
    if abs(sin(raw.FPDFText_GetCharAngle(text, index))) < LEVEL:
        return min(left, room[0]), bottom, max(right, room[2]), top
    return left, min(bottom, room[1]), right, max(top, room[3])


def doubtful(page: pypdfium2.PdfPage) -> Counter[str]:
    """Count, by font, the characters whose true appearance is unknown.

    Their fonts are not embedded, and PDFium finds no character for their codes or the fonts have
    symbols in place of letters.
    """
    # Text objects are searched in a tenth of the time of characters.
    names = [shown.get_font() for shown in _visible(page)]
    unembedded = {font.get_base_name() for font in names if not font.is_embedded}
    if not unembedded:
        return Counter()
    signs = {name for name in unembedded if _SIGNS.search(name)}
    counts: Counter[str] = Counter()
    with closing(page.get_textpage()) as text:
        for index in range(min(text.count_chars(), MOST_CHARACTERS)):
            unknown = raw.FPDFText_HasUnicodeMapError(text, index) == 1
            if not unknown and not signs:
                continue
            name = _unembedded_font(text, index)
            if name is not None and (unknown or name in signs):
                counts[name] += 1
    return counts


def _letter(text: pypdfium2.PdfTextPage, index: int) -> str:
    """Return the character at ``index``, or an empty text for a low surrogate.

    PDFium counts a surrogate pair as two characters; the first one's index returns the whole.
    """
    code = raw.FPDFText_GetUnicode(text, index)
    if 0xD800 <= code < 0xDC00:
        low = raw.FPDFText_GetUnicode(text, index + 1)
        return chr(0x10000 + ((code - 0xD800) << 10) + (low & 0x3FF))
    return "" if 0xDC00 <= code < 0xE000 else chr(code)


def needs_font(character: str) -> bool:
    """Return whether PDFium's own, Western European, fonts may lack ``character``."""
    return character > "\xff" and category(character) not in _UNSEEN


def fonts(page: pypdfium2.PdfPage) -> tuple[str, ...]:
    """Return the names of the fonts of visible text, each once."""
    names = (text.get_font().get_base_name()[:80] for text in _visible(page))
    return tuple(dict.fromkeys(name or "a font without a name" for name in names))


def _visible(page: pypdfium2.PdfPage) -> Iterator[pypdfium2.PdfTextObj]:
    for text in page.get_objects(filter=(raw.FPDF_PAGEOBJ_TEXT,)):
        if raw.FPDFTextObj_GetTextRenderMode(text) != INVISIBLE:
            yield text


def has_text(page: pypdfium2.PdfPage) -> bool:
    """Return whether the page has text, even if it is hidden."""
    return any(category(letter) not in _UNSEEN for letter in text_layer(page))


def is_blank(picture: Image.Image) -> bool:
    """Return whether a grey image shows nothing."""
    darkest, lightest = cast("tuple[int, int]", picture.getextrema())
    return lightest - darkest < INK


def missing(
    page: pypdfium2.PdfPage,
    picture: Image.Image,
    frame: Frame,
    characters: Iterable[Character],
) -> list[Character]:
    """Return the ``characters`` that are blank on the grey ``picture``.

    ``frame`` is the left, top, width and height of the whole page in pixels of ``picture``.
    """
    placed = ((character, pixels(page, frame, character.place)) for character in characters)
    return [
        character
        for character, box in placed
        # A combining mark has no box of its own, as it is drawn over the letter before it.
        if not category(character.text).startswith("M")
        and _is_within(box, picture.size)
        and is_blank(picture.crop(box))
    ]


def _is_within(box: PixelBox, size: tuple[int, int]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def pixels(
    page: pypdfium2.PdfPage, frame: Frame, place: Sequence[float], *, margin: bool = True
) -> PixelBox:
    """Convert a box on the page (left, bottom, right, top, in points) to pixels of its image."""
    left, bottom, right, top = place
    across, down = [], []
    for x, y in ((left, bottom), (right, top)):
        column, row = c_int(), c_int()
        raw.FPDF_PageToDevice(page, *frame, 0, x, y, byref(column), byref(row))
        across.append(column.value)
        down.append(row.value)
    # A margin on each side, since a hollow square's ink is on the edge of its box.
    more = 1 + (max(down) - min(down)) // 10 if margin else 0
    return min(across) - more, min(down) - more, max(across) + more, max(down) + more
