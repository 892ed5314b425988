"""What a worker does with a document: tell its pages, draw a part of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyvips
from PIL import UnidentifiedImageError

from app.domain.errors import ImageDamagedError, TooManyPagesError
from app.domain.image import ImageLimits
from app.services.documents import pdf, tiff
from app.services.documents.page import Cut, selected
from app.services.geometry import TURNED, Size
from app.services.images import pixels
from app.services.images.decode import decode, is_upright
from app.services.images.encode import to_png
from app.services.images.header import inspect


class Kind(StrEnum):
    """How a file is taken apart."""

    PDF = "pdf"
    TIFF = "tiff"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's pages, as far as they were chosen."""

    count: int
    """Of all pages."""
    pages: tuple[tuple[int, Size], ...]
    """Number, from 1, and size: points for a PDF, else pixels as a viewer shows them."""


def outline(data: bytes, kind: Kind, pages: str | None, most: int, limits: ImageLimits) -> Outline:
    """Return the outline of the pages that ``pages`` selects.

    Raises PageRangeError, TooManyPagesError over ``most``, or another ImageError.
    """
    count = _count(data, kind)
    chosen = selected(pages, count)
    if len(chosen) > most:
        raise TooManyPagesError(
            f"{len(chosen)} of {count} pages are asked about; at most {most} can be at a time. "
            "Choose some with pages."
        )
    sizes = _sizes(data, kind, [page - 1 for page in chosen], limits)
    return Outline(count, tuple(zip(chosen, sizes, strict=True)))


def _count(data: bytes, kind: Kind) -> int:
    match kind:
        case Kind.PDF:
            return pdf.count(data)
        case Kind.TIFF:
            return tiff.count(data)
        case Kind.PICTURE:
            return 1


def _sizes(data: bytes, kind: Kind, pages: Sequence[int], limits: ImageLimits) -> list[Size]:
    match kind:
        case Kind.PDF:
            return pdf.sizes(data, pages)
        case Kind.TIFF:
            return tiff.sizes(data, pages, limits)
        case Kind.PICTURE:
            facts = inspect(data, limits).facts
            return [Size(*pixels.upright_size(facts.width, facts.height, facts.orientation))]


def drawn(data: bytes, kind: Kind, cut: Cut, limits: ImageLimits) -> bytes:
    """Return a part of a page as PNG, or raise an ImageError."""
    whole = _raster(data, kind, cut, limits)
    top = min(round(cut.band.top * whole.height), whole.height - 1)
    height = max(1, round(cut.band.bottom * whole.height) - top)
    return to_png(whole.crop(0, top, whole.width, height))


def _raster(data: bytes, kind: Kind, cut: Cut, limits: ImageLimits) -> pyvips.Image:
    match kind:
        case Kind.PDF:
            return pdf.raster(data, cut.page, cut.width)
        case Kind.TIFF:
            return tiff.raster(data, cut.page, cut.width, limits)
        case Kind.PICTURE:
            return _picture(data, cut, limits)


def _picture(data: bytes, cut: Cut, limits: ImageLimits) -> pyvips.Image:
    facts = inspect(data, limits).facts
    across = facts.height if facts.orientation >= TURNED else facts.width
    scale = min(1.0, cut.width / across)
    size = (max(1, round(facts.width * scale)), max(1, round(facts.height * scale)))
    orientation = 1 if is_upright(facts.media_type) else facts.orientation
    try:
        return pixels.render(decode(data, facts, size), size, orientation)
    except (pyvips.Error, UnidentifiedImageError, OSError, ValueError) as error:
        raise ImageDamagedError("The picture is damaged: it can't be decoded.") from error
