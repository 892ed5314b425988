"""Reads BMP headers."""

from struct import unpack_from

from app.domain.image import ImageLimits
from app.services.images.formats.layout import Layout
from app.services.images.formats.rows import Rows

OS2_HEADER = 12
UNPACKED = frozenset({0, 3, 6})
"""Compression values of uncompressed pictures."""


def read(data: bytes, limits: ImageLimits) -> Layout:  # noqa: ARG001 - one signature for all readers
    """Return the layout of the picture; a negative height means that rows run downwards."""
    (header,) = unpack_from("<I", data, 14)
    width, height = unpack_from("<HH" if header == OS2_HEADER else "<ii", data, 18)
    return Layout(width, abs(height))


def rows(data: bytes, layout: Layout) -> Rows | None:
    """Return the rows of a file with the given layout, or None if they are compressed."""
    start, header = unpack_from("<II", data, 10)
    (bits,) = unpack_from("<H", data, 24 if header == OS2_HEADER else 28)
    if header != OS2_HEADER and unpack_from("<I", data, 30)[0] not in UNPACKED:
        return None
    stride = (layout.width * bits + 31) // 32 * 4
    return Rows(start, start + layout.height * stride, layout.width * bits // 8, stride)
