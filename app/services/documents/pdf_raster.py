"""A PDF's page drawn, with this machine's fonts for those that it lacks. Runs in a worker."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

import pypdfium2
import pypdfium2.raw as raw
import pyvips
from PIL import Image

from app.domain.errors import PageNotShownError
from app.domain.image import AnswerWarning
from app.services.documents import font_map, pdf_text
from app.services.documents.fonts import Font, Fonts
from app.services.documents.page import Cut
from app.services.documents.pdf import opened
from app.services.documents.pdf_text import Character
from app.services.images.pixel_transfer import from_pillow

MOST_ANNOTATIONS = 2_000
"""Annotations of a page that are looked at."""
FONTS = Fonts()

FONT_MISSING = "font_missing"
ANNOTATION_NOT_DRAWN = "annotation_not_drawn"
_UNDRAWN = {
    raw.FPDF_ANNOT_LINE: "Line",
    raw.FPDF_ANNOT_POLYGON: "Polygon",
    raw.FPDF_ANNOT_POLYLINE: "PolyLine",
    raw.FPDF_ANNOT_STAMP: "Stamp",
    raw.FPDF_ANNOT_CARET: "Caret",
    raw.FPDF_ANNOT_FILEATTACHMENT: "FileAttachment",
    raw.FPDF_ANNOT_REDACT: "Redact",
}
"""Annotations that viewers draw without an appearance stream, and PDFium does not."""
_HIDDEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW


def raster(
    data: bytes, cut: Cut, *, blank: bool = False, fonts: Fonts = FONTS
) -> tuple[pyvips.Image, tuple[AnswerWarning, ...]]:
    """Return a tile of a page drawn, with its form fields filled in, and what it lacks.

    Raises PageNotShownError where the whole page shows nothing although it has text, or with
    ``blank``, which is for those who have that text, says so.
    """
    with _drawable(data, cut.page, fonts) as (page, characters):
        picture = _drawn(page, cut)
        grey = picture.convert("L")
        shown = not (cut.is_whole and pdf_text.is_blank(grey) and pdf_text.fonts(page))
        if not shown and not blank:
            raise PageNotShownError(_nothing_shown(page, characters))
        left, top, _, _ = cut.tile
        missing = pdf_text.missing(page, grey, (-left, -top, *cut.drawn), characters)
        warnings = (*_fonts_missing(cut.page, missing), *_annotations(cut.page, page))
    return from_pillow(picture), warnings


@contextmanager
def _drawable(
    data: bytes, number: int, fonts: Fonts
) -> Iterator[tuple[pypdfium2.PdfPage, list[Character]]]:
    """Yield a page with fonts chosen for the text that brings none, and that text."""
    fonts_of_pdfium = font_map.installed()
    with opened(data) as document:
        page = _loaded(document, number)
        characters = pdf_text.foreign(page)
        if not characters:
            yield page, characters
            return
    # PDFium asks for fonts while it loads a page, and only then its text can be read.
    by_face = _chosen(characters, fonts)
    fonts_of_pdfium.choose(by_face)
    try:
        with opened(data) as document:
            page = _loaded(document, number)
            # Read again: with other fonts the characters have other places.
            characters = pdf_text.foreign(page)
            lacking = {
                character.text
                for character in characters
                if character.font not in fonts_of_pdfium.used
                or not by_face[character.font].has(character.text)
            }
            fonts_of_pdfium.fallback = fonts.best(frozenset(lacking))
            yield page, characters
    finally:
        fonts_of_pdfium.choose({})


def _loaded(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    document.init_forms()
    return document[number - 1]


def _chosen(characters: Iterable[Character], fonts: Fonts) -> dict[str, Font]:
    """Return the font for each face that has most of what the page shows in it."""
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


def _nothing_shown(page: pypdfium2.PdfPage, characters: Iterable[Character]) -> str:
    fonts = ", ".join(dict.fromkeys(character.font[:80] for character in characters))
    if not fonts:
        return f"It shows nothing, although it has text, in {', '.join(pdf_text.fonts(page))}."
    return (
        f"It shows nothing of its text: the PDF does not embed {fonts}, and no font of this "
        "machine has the characters. Embed the fonts, or send the page as a picture."
    )


def _fonts_missing(number: int, missing: Iterable[Character]) -> Iterator[AnswerWarning]:
    by_font = sorted(missing, key=lambda character: character.font)
    for font, characters in groupby(by_font, key=lambda character: character.font):
        yield AnswerWarning(
            FONT_MISSING,
            f"page {number}: {sum(1 for _ in characters)} characters in the font {font[:80]} are "
            "not shown: the PDF does not embed it, and no font of this machine has them.",
        )


def _annotations(number: int, page: pypdfium2.PdfPage) -> Iterator[AnswerWarning]:
    kinds = sorted(filter(None, map(_undrawn, _annotated(page))))
    for kind, same in groupby(kinds):
        yield AnswerWarning(
            ANNOTATION_NOT_DRAWN,
            f"page {number}: {len(list(same))} annotation(s) of the kind {kind} without an "
            "appearance stream are not drawn.",
        )


def _annotated(page: pypdfium2.PdfPage) -> Iterator[object]:
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), MOST_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            yield annotation
            raw.FPDFPage_CloseAnnot(annotation)


def _undrawn(annotation: object) -> str | None:
    if raw.FPDFAnnot_HasKey(annotation, b"AP") or raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
        return None
    return _UNDRAWN.get(raw.FPDFAnnot_GetSubtype(annotation))
