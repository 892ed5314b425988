"""BMP: the header read."""

from struct import unpack_from

from app.domain.image import ImageLimits
from app.services.images.formats.layout import Layout

OS2_HEADER = 12


def read(data: bytes, limits: ImageLimits) -> Layout:  # noqa: ARG001 - one signature for all readers
    """The layout of the picture; a negative height means that rows run downwards."""
    (header,) = unpack_from("<I", data, 14)
    width, height = unpack_from("<HH" if header == OS2_HEADER else "<ii", data, 18)
    return Layout(width, abs(height))
