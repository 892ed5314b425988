"""TIFF pages as pixels. Runs in a worker: libtiff is C and reads untrusted bytes."""

from collections.abc import Sequence

import pyvips

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.geometry import TURNED, Size
from app.services.images import pixels
from app.services.images.formats.tiff import TAKEN
from app.services.images.header import check_pixels


def count(data: bytes) -> int:
    """Return how many pages there are."""
    first = _page(data, 0)
    return int(first.get("n-pages")) if first.get_typeof("n-pages") else 1


def sizes(data: bytes, pages: Sequence[int], limits: ImageLimits) -> list[Size]:
    """Return the upright size in pixels of ``pages`` (from 0)."""
    return [_size(_page(data, page), limits) for page in pages]


def raster(data: bytes, page: int, width: int, limits: ImageLimits) -> pyvips.Image:
    """Return ``page`` (from 0) upright, at most ``width`` pixels wide."""
    image = _page(data, page)
    upright = _size(image, limits)
    orientation = _orientation(image)
    scale = min(1.0, width / upright.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    try:
        return pixels.render(image, size, orientation)
    except pyvips.Error as error:
        raise _damaged(page) from error


def _page(data: bytes, page: int) -> pyvips.Image:
    try:
        image = pyvips.Image.tiffload_buffer(data, page=page, access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise _damaged(page) from error
    # The first page's header was read before; each page may have samples of its own.
    if image.format not in {"uchar", "ushort"}:
        raise UnsupportedImageTypeError(
            f"Page {page + 1} of the TIFF has samples of the kind {image.format}; {TAKEN}."
        )
    return image


def _size(image: pyvips.Image, limits: ImageLimits) -> Size:
    check_pixels(image.width, image.height, limits)
    turned = _orientation(image) >= TURNED
    return Size(image.height, image.width) if turned else Size(image.width, image.height)


def _orientation(image: pyvips.Image) -> int:
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def _damaged(page: int) -> ImageDamagedError:
    return ImageDamagedError(f"Page {page + 1} of the TIFF is damaged: it can't be decoded.")
