"""Finds pictures of a PDF page that can't be decoded, which PDFium silently leaves blank."""

from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as raw
from PIL import Image

from app.services.documents.pdf_text import Frame, is_blank, pixels

MOST = 50
"""Maximum blank pictures of a page that are decoded again."""


def undrawn(page: pypdfium2.PdfPage, picture: Image.Image, frame: Frame) -> list[str]:
    """Return the filters of each PDF picture that is blank on the grey ``picture`` and undecodable.

    ``frame`` is the left, top, width and height of the whole page in pixels of ``picture``.
    """
    return [
        "+".join(shown.get_filters())[:80] or "raw"
        for shown in list(_without_trace(page, picture, frame))[:MOST]
        if not _can_be_decoded(shown)
    ]


def _without_trace(
    page: pypdfium2.PdfPage, picture: Image.Image, frame: Frame
) -> Iterator[pypdfium2.PdfImage]:
    everything = (0, 0, picture.width, picture.height)
    for shown in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,)):
        # The bounds of a picture in a form XObject are in the form's own units.
        box = everything if shown.level else pixels(page, frame, shown.get_bounds(), margin=False)
        left, top = max(box[0], 0), max(box[1], 0)
        right, bottom = min(box[2], picture.width), min(box[3], picture.height)
        if left < right and top < bottom and is_blank(picture.crop((left, top, right, bottom))):
            yield shown


def _can_be_decoded(shown: pypdfium2.PdfImage) -> bool:
    try:
        shown.get_bitmap()
    except pypdfium2.PdfiumError:
        return False
    return True
