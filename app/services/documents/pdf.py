"""PDF pages as pixels. Runs in a worker: PDFium is C++ and reads untrusted bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pypdfium2
import pyvips

from app.domain.errors import DocumentLockedError, ExtremeAspectRatioError, ImageDamagedError
from app.services.geometry import Size
from app.services.images.decode import from_pillow

MAGIC = b"%PDF-"
MAGIC_WITHIN = 1024
"""Bytes in which a reader looks for the magic; mail gateways put lines before it."""
MOST_ELONGATED = 20
"""Longer over shorter side of a page. Banners have 5."""
_PASSWORD = 4  # FPDF_ERR_PASSWORD


def is_pdf(data: bytes) -> bool:
    """Whether ``data`` begins like a PDF."""
    return MAGIC in data[:MAGIC_WITHIN]


def count(data: bytes) -> int:
    """Return how many pages there are."""
    with _opened(data) as document:
        return len(document)


def sizes(data: bytes, pages: Sequence[int]) -> list[Size]:
    """Return the size in points of ``pages`` (from 0)."""
    with _opened(data) as document:
        return [_size(document, page) for page in pages]


def raster(data: bytes, page: int, width: int) -> pyvips.Image:
    """Return ``page`` (from 0) drawn ``width`` pixels wide, with its form fields filled in."""
    with _opened(data) as document:
        across, _ = document.get_page_size(page)
        document.init_forms()
        # PDFium rounds both sides up; one pixel less keeps them within what was asked for.
        drawn = document[page].render(scale=max(1, width - 1) / across, rev_byteorder=True)
        return from_pillow(drawn.to_pil().convert("RGB"))


def _size(document: pypdfium2.PdfDocument, page: int) -> Size:
    width, height = document.get_page_size(page)
    if min(width, height) < 1 or max(width, height) > MOST_ELONGATED * min(width, height):
        raise ExtremeAspectRatioError(
            f"Page {page + 1} is {width:g} x {height:g} points; one side may be at most "
            f"{MOST_ELONGATED} times the other."
        )
    return Size(round(width), round(height))


@contextmanager
def _opened(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    try:
        document = pypdfium2.PdfDocument(data)
        try:
            yield document
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise DocumentLockedError("The PDF needs a password; send one without.") from error
        raise ImageDamagedError("The PDF is damaged or cut off: it can't be read.") from error
