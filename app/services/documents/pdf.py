"""Opens PDFs and measures pages. Runs in a worker, as PDFium is C++ and reads untrusted bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pypdfium2
import pypdfium2.raw as raw

from app.domain.errors import (
    DocumentEmptyError,
    DocumentLockedError,
    ExtremeAspectRatioError,
    ImageDamagedError,
)
from app.services.documents import library_log, pdf_text
from app.services.documents.page import Detail
from app.services.geometry import Size

MAGIC = b"%PDF-"
MAGIC_WITHIN = 1024
"""Leading bytes that readers search for the magic, since mail gateways insert lines before it."""
MOST_ELONGATED = 20
"""Maximum ratio of the sides of a page that is shown whole; banners have 5."""
SHARPEST = 200 / 72
"""Maximum pixels per point of a page drawn in tiles, which is 200 dots per inch."""


def is_pdf(data: bytes) -> bool:
    """Return whether ``data`` begins like a PDF."""
    return MAGIC in data[:MAGIC_WITHIN]


def size(document: pypdfium2.PdfDocument, detail: Detail, page: int) -> Size:
    """Return the size of a page (from 1) in points, or raise an ImageError."""
    try:
        width, height = document.get_page_size(page - 1)
    except pypdfium2.PdfiumError as error:
        raise ImageDamagedError("It is damaged or missing: it can't be read.") from error
    if min(width, height) <= 0:
        raise ImageDamagedError(
            "Its CropBox lies outside its MediaBox: no part of it may be shown."
        )
    if min(width, height) < 1:
        raise ExtremeAspectRatioError(f"It is {width:g} x {height:g} points: too narrow to draw.")
    if detail == "auto" and max(width, height) > MOST_ELONGATED * min(width, height):
        raise ExtremeAspectRatioError(
            f"It is {width:g} x {height:g} points; shown whole, one side may be at most "
            f"{MOST_ELONGATED} times the other. Detail high reads it in pieces."
        )
    return Size(round(width), round(height))


def text_layer(document: pypdfium2.PdfDocument, page: int) -> str | None:
    """Return the embedded text of a page (from 1), or None if it has none."""
    try:
        return pdf_text.text_layer(document[page - 1]).strip() or None
    except pypdfium2.PdfiumError:
        return None


@contextmanager
def opened(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """Yield the document; raise DocumentLockedError, DocumentEmptyError or ImageDamagedError."""
    library_log.attach()
    # PDFium sets no error for a file without pages, so the previous file's error is reset first.
    raw.FPDF_LoadDocument(b"", None)
    try:
        document = pypdfium2.PdfDocument(data)
        try:
            yield document
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        raise _refusal(getattr(error, "err_code", None)) from error


def _refusal(code: int | None) -> DocumentEmptyError | DocumentLockedError | ImageDamagedError:
    match code:
        case raw.FPDF_ERR_FILE:
            return DocumentEmptyError("The PDF has no pages.")
        case raw.FPDF_ERR_PASSWORD:
            return DocumentLockedError("The PDF needs a password; send one without.")
        case raw.FPDF_ERR_SECURITY:
            return DocumentLockedError(
                "The PDF is locked by a certificate or another scheme than a password; send one "
                "that is not."
            )
        case _:
            return ImageDamagedError("The PDF is damaged or cut off: it can't be read.")
