"""Documents made for a test."""

import io
from collections.abc import Sequence

import pypdfium2
from PIL import Image

from tests.support.pictures import DATA

FOUR_PAGES = (DATA / "four-pages.pdf").read_bytes()
"""A letter's worth of text on each of four A4 pages; source and licence beside it."""


def tiff(pages: Sequence[Image.Image], **options: object) -> bytes:
    """Return a TIFF of these pages."""
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], **options)
    return file.getvalue()


def blank_pdf(*sizes: tuple[float, float]) -> bytes:
    """Return a PDF of empty pages of these sizes in points."""
    document = pypdfium2.PdfDocument.new()
    for size in sizes:
        document.new_page(*size)
    file = io.BytesIO()
    document.save(file)
    document.close()
    return file.getvalue()


LOCKED = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"3 0 obj<</Filter/Standard/V 1/R 2/O(" + b"x" * 32 + b")/U(" + b"y" * 32 + b")/P -4>>endobj\n"
    b"trailer<</Root 1 0 R/Encrypt 3 0 R/ID[(0123456789abcdef)(0123456789abcdef)]>>\n%%EOF\n"
)
"""A PDF encrypted under a password that no one knows."""
