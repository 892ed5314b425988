"""Reads a picture's header without a decoder and enforces the limits.

The readers of the formats are plain Python over bytes. No file can crash them or make them allocate
memory, so they may run in the service's own process.
"""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from app.domain.errors import (
    ImageBombError,
    ImageDamagedError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
)
from app.domain.image import ImageFacts, ImageLimits, ImageType
from app.services.images.formats import bmp, gif, heif, jpeg, png, tiff, webp
from app.services.images.formats.layout import Layout
from app.services.images.inspection.sniff import sniff

READERS: Mapping[ImageType, Callable[[bytes, ImageLimits], Layout]] = MappingProxyType(
    {
        ImageType.JPEG: jpeg.read,
        ImageType.PNG: png.read,
        ImageType.WEBP: webp.read,
        ImageType.GIF: gif.read,
        ImageType.BMP: bmp.read,
        ImageType.TIFF: tiff.read,
        ImageType.HEIC: heif.read,
        ImageType.AVIF: heif.read,
    }
)


class Inspection(NamedTuple):
    """A picture's header that is within the limits."""

    facts: ImageFacts
    """The facts for the caller."""
    layout: Layout
    """The layout for the preparation."""


def inspect(data: bytes, limits: ImageLimits) -> Inspection:
    """Return the picture's inspection, or refuse the picture.

    Raises `ImageTooLargeError`, `ImageTooManyPixelsError` and `ImageBombError` over a limit,
    `ImageDamagedError` for an invalid header, and the errors of `sniff`.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"The picture has {len(data)} bytes; at most {limits.max_bytes} are accepted."
        )
    media_type = sniff(data)
    try:
        layout = READERS[media_type](data, limits)
    except (struct.error, LookupError, ValueError, ArithmeticError) as error:
        raise ImageDamagedError(
            f"The {media_type.short_name.upper()} header is damaged or cut off."
        ) from error
    _check(layout, limits)
    facts = ImageFacts(
        media_type=media_type,
        width=layout.width,
        height=layout.height,
        bytes=len(data),
        orientation=layout.orientation,
        frames=layout.frames,
    )
    return Inspection(facts, layout)


def facts(data: bytes, limits: ImageLimits | None = None) -> ImageFacts:
    """Return the facts in the picture's header, or raise the errors of `inspect`."""
    return inspect(data, limits or ImageLimits()).facts


def _check(layout: Layout, limits: ImageLimits) -> None:
    check_pixels(layout.width, layout.height, limits)
    if layout.frames > limits.max_frames:
        raise ImageBombError(
            f"The file has more than {limits.max_frames} frames or pages; send the one to look at."
        )
    if layout.largest_metadata > limits.max_metadata_bytes:
        raise ImageBombError(
            f"A metadata block of the file unpacks to more than {limits.max_metadata_bytes} bytes."
        )


def check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    """Check the size in a header.

    Raises `ImageDamagedError` if a side is 0, and `ImageTooManyPixelsError` over the limit of
    pixels or of the longer side.
    """
    if width < 1 or height < 1:
        raise ImageDamagedError(f"The header claims {width} x {height} pixels.")
    if width * height > limits.max_pixels or max(width, height) > limits.max_received_side:
        raise ImageTooManyPixelsError(
            f"The picture has {width} x {height} pixels; at most {limits.max_pixels} in all "
            f"and {limits.max_received_side} along a side are accepted."
        )
