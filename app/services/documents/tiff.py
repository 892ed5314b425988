"""Decodes TIFF pages. Runs in a worker, as libtiff is C and reads untrusted bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from app.domain.errors import ImageDamagedError, ImageError
from app.domain.image import ImageLimits
from app.services.documents.page import Cut
from app.services.geometry import TURNED, Size
from app.services.images.codecs import pixels
from app.services.images.codecs.decode import tiff_page
from app.services.images.formats import exif, tiff
from app.services.images.inspection.header import check_pixels


def count(data: bytes, limits: ImageLimits) -> int:
    """Return the number of pages, not counting thumbnails and masks."""
    with _damage("The TIFF header is damaged or cut off."):
        return len(tiff.pages(data, limits))


def size(data: bytes, limits: ImageLimits, page: int) -> Size:
    """Return the upright size in pixels of a page (from 1), or raise an ImageError."""
    _, stored = _page(data, page, limits)
    turned = stored.orientation >= TURNED
    return Size(stored.height, stored.width) if turned else Size(stored.width, stored.height)


def raster(data: bytes, cut: Cut, limits: ImageLimits) -> pyvips.Image:
    """Return a whole page, upright and in the drawn size of ``cut``."""
    at, page = _page(data, cut.page, limits)
    width, height = cut.drawn
    stored = (height, width) if page.orientation >= TURNED else (width, height)
    with _damage("It is damaged: it can't be decoded."):
        image = tiff_page(tiff.essential(data, at), page)
        return pixels.render(image, stored, page.orientation)


def _page(data: bytes, number: int, limits: ImageLimits) -> tuple[int, tiff.Page]:
    """Return the offset of a page's directory and the page's description."""
    with _damage("Its directory is damaged or cut off."):
        at = tiff.pages(data, limits)[number - 1]
        page = tiff.described(data, exif.dialect(data), at)
    check_pixels(page.width, page.height, limits)
    return at, page


@contextmanager
def _damage(detail: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, ImageError):
        raise
    except Exception as error:
        # The decoders and tag readers each raise errors of their own.
        raise ImageDamagedError(detail) from error
