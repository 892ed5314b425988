"""A PDF page's pictures that can't be decoded: they leave an empty place without a word."""

from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as raw
from PIL import Image

from app.services.documents.pdf_text import Frame, is_blank, pixels

MOST = 50
"""Empty places of a page in which a picture is decoded once more."""


def undrawn(page: pypdfium2.PdfPage, picture: Image.Image, frame: Frame) -> list[str]:
    """Return how each picture is packed that left no trace on the grey ``picture``, and can't.

    ``frame`` is left, top, width and height of the whole page in pixels of the picture.
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
        # The place of one in a form is told in the form's own units.
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
