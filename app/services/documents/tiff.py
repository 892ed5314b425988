"""TIFF pages as pixels. Runs in a worker: libtiff is C and reads untrusted bytes."""

import struct
from collections.abc import Iterator

import pyvips

from app.domain.errors import ImageDamagedError, ImageError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.documents.page import Cut
from app.services.geometry import TURNED, Size
from app.services.images import pixels
from app.services.images.formats import exif
from app.services.images.formats.tiff import TAKEN
from app.services.images.header import check_pixels

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
_SMALLER, _MASK = 1, 4
"""Bits of NewSubfileType: a smaller version of another picture, a transparency mask."""
_OLD_SMALLER = 2


def pages(data: bytes, limits: ImageLimits) -> tuple[int, ...]:
    """Return which pictures of the file (from 0) are pages: not its thumbnails and masks.

    Plain Python over bytes. A file that has nothing else keeps its first picture.
    """
    try:
        kinds = list(_kinds(data, limits))
    except (struct.error, ValueError, OverflowError) as error:
        raise ImageDamagedError("The TIFF header is damaged or cut off.") from error
    return tuple(number for number, is_page in enumerate(kinds) if is_page) or (0,)


def _kinds(data: bytes, limits: ImageLimits) -> Iterator[bool]:
    """Yield for each picture whether it is a page; a damaged directory ends the list."""
    form = exif.dialect(data)
    at, seen = form.first, set[int]()
    while at and at not in seen and len(seen) <= limits.max_frames:
        seen.add(at)
        try:
            tags = exif.directory(data, form, at)
            at = exif.following(data, form, at)
        except (struct.error, ValueError, OverflowError):
            return
        new, old = tags.get(NEW_SUBFILE_TYPE, 0), tags.get(SUBFILE_TYPE, 0)
        yield not new & (_SMALLER | _MASK) and old != _OLD_SMALLER


def size(data: bytes, limits: ImageLimits, page: int) -> Size:
    """Return the upright size in pixels of a page (from 1), or raise an ImageError."""
    return _size(_page(data, page, limits), limits)


def raster(data: bytes, cut: Cut, limits: ImageLimits) -> pyvips.Image:
    """Return a page upright, all of it, in the size that ``cut`` says."""
    image = _page(data, cut.page, limits)
    _size(image, limits)
    orientation = _orientation(image)
    width, height = cut.drawn
    stored = (height, width) if orientation >= TURNED else (width, height)
    try:
        return pixels.render(image, stored, orientation)
    except pyvips.Error as error:
        raise _damaged() from error


def _page(data: bytes, page: int, limits: ImageLimits) -> pyvips.Image:
    index = pages(data, limits)[page - 1]
    try:
        image = pyvips.Image.tiffload_buffer(data, page=index, access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise _damaged() from error
    # Each page may have samples of its own.
    if image.format not in {"uchar", "ushort"}:
        raise UnsupportedImageTypeError(
            f"The TIFF has samples of the kind {image.format}; {TAKEN}."
        )
    return image


def _size(image: pyvips.Image, limits: ImageLimits) -> Size:
    check_pixels(image.width, image.height, limits)
    turned = _orientation(image) >= TURNED
    return Size(image.height, image.width) if turned else Size(image.width, image.height)


def _orientation(image: pyvips.Image) -> int:
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def _damaged() -> ImageError:
    return ImageDamagedError("It is damaged: it can't be decoded.")
