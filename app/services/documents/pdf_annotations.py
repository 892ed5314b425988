"""Finds annotations and form fields of a PDF page that are not drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_ushort
from itertools import groupby

import pypdfium2
import pypdfium2.raw as raw

from app.domain.image import AnswerWarning
from app.services.documents.pdf_text import needs_font

MOST_ANNOTATIONS = 2_000
"""Maximum annotations of a page that are examined."""
ANNOTATION_NOT_DRAWN = "annotation_not_drawn"
_UNDRAWN = {
    raw.FPDF_ANNOT_LINE: "Line",
    raw.FPDF_ANNOT_POLYGON: "Polygon",
    raw.FPDF_ANNOT_POLYLINE: "PolyLine",
    raw.FPDF_ANNOT_SOUND: "Sound",
    raw.FPDF_ANNOT_STAMP: "Stamp",
    raw.FPDF_ANNOT_CARET: "Caret",
    raw.FPDF_ANNOT_FILEATTACHMENT: "FileAttachment",
    raw.FPDF_ANNOT_REDACT: "Redact",
}
"""Annotations that viewers, but not PDFium, draw without an appearance stream."""
_HIDDEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW


def undrawn(number: int, page: pypdfium2.PdfPage) -> Iterator[AnswerWarning]:
    """Yield warnings about the annotations that the drawn page (from 1) lacks."""
    if page.pdf.get_formtype() == raw.FORMTYPE_XFA_FULL:
        yield AnswerWarning(
            ANNOTATION_NOT_DRAWN,
            f"page {number}: the document's XFA form is not drawn, only what stands in its place.",
        )
    kinds = sorted(filter(None, map(_undrawn, _annotations(page))))
    for kind, same in groupby(kinds):
        yield AnswerWarning(
            ANNOTATION_NOT_DRAWN,
            f"page {number}: {len(list(same))} annotation(s) of the kind {kind} without an "
            "appearance stream are not drawn.",
        )


def field_characters(page: pypdfium2.PdfPage) -> frozenset[str]:
    """Return the characters of the page's form fields that PDFium's own fonts may lack."""
    if not page.formenv:
        return frozenset()
    values = (_value(annotation) for annotation in _annotations(page) if _is_field(annotation))
    return frozenset(letter for value in values for letter in value if needs_font(letter))


def _annotations(page: pypdfium2.PdfPage) -> Iterator[object]:
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), MOST_ANNOTATIONS)):
        with _annotation(page, index) as annotation:
            if annotation:
                yield annotation


@contextmanager
def _annotation(page: pypdfium2.PdfPage, index: int) -> Iterator[object]:
    annotation = raw.FPDFPage_GetAnnot(page, index)
    try:
        yield annotation
    finally:
        if annotation:
            raw.FPDFPage_CloseAnnot(annotation)


def _undrawn(annotation: object) -> str | None:
    if raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
        return None
    if _is_field(annotation):
        # PDFium creates an appearance only for fields that the document's form lists.
        lacks = _value(annotation) and not raw.FPDFAnnot_HasKey(annotation, b"AP")
        return "Widget" if lacks else None
    return None if _has_appearance(annotation) else _UNDRAWN.get(_subtype(annotation))


def _has_appearance(annotation: object) -> bool:
    # An /AP may lack the normal appearance, which is drawn. An empty text has two bytes.
    normal = raw.FPDF_ANNOT_APPEARANCEMODE_NORMAL
    return bool(raw.FPDFAnnot_GetAP(annotation, normal, None, 0) > 2)


def _is_field(annotation: object) -> bool:
    return bool(_subtype(annotation) == raw.FPDF_ANNOT_WIDGET)


def _subtype(annotation: object) -> int:
    return int(raw.FPDFAnnot_GetSubtype(annotation))


def _value(annotation: object) -> str:
    size = raw.FPDFAnnot_GetStringValue(annotation, b"V", None, 0)
    text = (c_ushort * (size // 2))()
    raw.FPDFAnnot_GetStringValue(annotation, b"V", text, size)
    return bytes(text).decode("utf-16-le", "replace").rstrip("\0")
