"""Draws a PDF page, with this machine's fonts in place of missing ones. Runs in a worker."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import pypdfium2
import pypdfium2.raw as raw
import pyvips
from PIL import Image

from app.domain.errors import PageNotShownError
from app.domain.image import AnswerWarning
from app.services.documents import (
    font_map,
    pdf_annotations,
    pdf_attachments,
    pdf_pictures,
    pdf_text,
)
from app.services.documents.fonts import Font, Fonts
from app.services.documents.page import Cut
from app.services.documents.pdf import opened
from app.services.documents.pdf_text import Character
from app.services.images.codecs.pixel_transfer import from_pillow

FONTS = Fonts()

FONT_MISSING = "font_missing"
PICTURE_NOT_DRAWN = "picture_not_drawn"


def raster(
    data: bytes, cut: Cut, *, blank: bool = False, fonts: Fonts = FONTS
) -> tuple[pyvips.Image, tuple[AnswerWarning, ...]]:
    """Return a drawn tile with its form fields, and warnings about what it lacks.

    Raises PageNotShownError if the whole page is blank although it has text or pictures. With
    ``blank``, for callers who have the text, a blank page is returned instead.
    """
    with _drawable(data, cut.page, fonts) as (page, lacking):
        picture = _drawn(page, cut)
        grey = picture.convert("L")
        left, top, _, _ = cut.tile
        frame = (-left, -top, *cut.drawn)
        undrawn = pdf_pictures.undrawn(page, grey, frame)
        if cut.is_whole and not blank and pdf_text.is_blank(grey):
            _check_empty(page, lacking.characters, undrawn)
        missing = pdf_text.missing(page, grey, frame, lacking.characters)
        warnings = (
            *_fonts_missing(cut.page, missing),
            *_fields_missing(cut.page, lacking.in_fields),
            *_doubtful(cut.page, pdf_text.doubtful(page)),
            *_pictures_missing(cut.page, undrawn),
            *pdf_annotations.undrawn(cut.page, page),
            *pdf_attachments.unread(page.pdf),
        )
    return from_pillow(picture), warnings


@dataclass(frozen=True, slots=True)
class _Lacking:
    """The text of a page in fonts that are not embedded."""

    characters: list[Character]
    in_fields: frozenset[str] = frozenset()
    """Characters of form fields that no font of this machine has."""


@contextmanager
def _drawable(
    data: bytes, number: int, fonts: Fonts
) -> Iterator[tuple[pypdfium2.PdfPage, _Lacking]]:
    """Yield a page with fonts chosen for its text without embedded fonts, and that text."""
    fonts_of_pdfium = font_map.installed()
    with opened(data) as document:
        page = _loaded(document, number)
        characters = pdf_text.foreign(page)
        in_fields = pdf_annotations.field_characters(page)
        if not characters and not in_fields:
            yield page, _Lacking(characters)
            return
    # PDFium requests fonts while it loads a page, and the text can be read only after that.
    by_face = _chosen(characters, fonts)
    fonts_of_pdfium.choose(by_face)
    try:
        with opened(data) as document:
            page = _loaded(document, number)
            # Read again, because the characters have other places in other fonts.
            characters = pdf_text.foreign(page)
            lacking = {
                character.text
                for character in characters
                if character.font not in fonts_of_pdfium.used
                or not by_face[character.font].has(character.text)
            }
            best = fonts_of_pdfium.fallback = fonts.best(frozenset(lacking | in_fields))
            yield (
                page,
                _Lacking(
                    characters, frozenset(c for c in in_fields if best is None or not best.has(c))
                ),
            )
    finally:
        fonts_of_pdfium.choose({})


def _loaded(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    document.init_forms()
    return document[number - 1]


def _chosen(characters: Iterable[Character], fonts: Fonts) -> dict[str, Font]:
    """Return for each face the font with most of the characters shown in it."""
    by_face: dict[str, set[str]] = {}
    for character in characters:
        by_face.setdefault(character.font, set()).add(character.text)
    best = {face: fonts.best(frozenset(texts)) for face, texts in by_face.items()}
    return {face: font for face, font in best.items() if font is not None}


def _drawn(page: pypdfium2.PdfPage, cut: Cut) -> Image.Image:
    left, top, width, height = cut.tile
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGRx, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    place = (bitmap, page, -left, -top, *cut.drawn, 0, raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER)
    raw.FPDF_RenderPageBitmap(*place)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, *place)
    picture: Image.Image = bitmap.to_pil().convert("RGB")
    return picture


def _check_empty(
    page: pypdfium2.PdfPage, characters: Iterable[Character], undrawn: Sequence[str]
) -> None:
    """Raise PageNotShownError if a blank page has text or pictures."""
    lacking = ", ".join(dict.fromkeys(character.font[:80] for character in characters))
    if lacking:
        raise PageNotShownError(
            f"It shows nothing of its text: the PDF does not embed {lacking}, and no font of this "
            "machine has the characters. Embed the fonts, or send the page as a picture."
        )
    if undrawn:
        raise PageNotShownError(
            f"It shows nothing: its picture ({', '.join(dict.fromkeys(undrawn))}) can't be decoded."
        )
    if fonts := ", ".join(pdf_text.fonts(page)):
        raise PageNotShownError(f"It shows nothing, although it has text, in {fonts}.")
    if pdf_text.has_text(page):
        raise PageNotShownError(
            "It shows nothing, although it has text: hidden, as it is laid over scans."
        )


def _fonts_missing(number: int, missing: Iterable[Character]) -> Iterator[AnswerWarning]:
    by_font = sorted(missing, key=lambda character: character.font)
    for font, characters in groupby(by_font, key=lambda character: character.font):
        yield AnswerWarning(
            FONT_MISSING,
            f"page {number}: {sum(1 for _ in characters)} characters in the font {font[:80]} are "
            "not shown: the PDF does not embed it, and no font of this machine has them.",
        )


def _fields_missing(number: int, characters: frozenset[str]) -> Iterator[AnswerWarning]:
    if characters:
        yield AnswerWarning(
            FONT_MISSING,
            f"page {number}: {len(characters)} characters of form fields are not shown: no font of "
            "this machine has them.",
        )


def _doubtful(number: int, fonts: Counter[str]) -> Iterator[AnswerWarning]:
    for font, count in sorted(fonts.items()):
        yield AnswerWarning(
            FONT_MISSING,
            f"page {number}: {count} characters in the font {font[:80]} may be shown as others: "
            "the PDF neither embeds it nor says which characters they are.",
        )


def _pictures_missing(number: int, undrawn: Sequence[str]) -> Iterator[AnswerWarning]:
    for packed, count in sorted(Counter(undrawn).items()):
        yield AnswerWarning(
            PICTURE_NOT_DRAWN,
            f"page {number}: {count} picture(s) can't be decoded and are not drawn ({packed}).",
        )
