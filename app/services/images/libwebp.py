"""Pixels of a still WebP, by the libwebp that Pillow is linked with.

Pillow and libvips decode every WebP as an animation, onto a canvas and through copies of it,
which takes four times as long as the decoding of a screenshot.
"""

import ctypes
import importlib.util
from functools import cache

import pyvips

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageFacts
from app.services.images.formats.webp import Still

MOST_PIXELS = 40_000_000
"""Pixels up to which a picture stands in memory whole: 280 MB of a lossless one, decoder's too."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return what Pillow's module for WebP is linked with; None where it was built without."""
    spec = importlib.util.find_spec("PIL._webp")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    if not all(hasattr(library, name) for name in _DECODERS.values()):
        return None
    for name in _DECODERS.values():
        decoder = getattr(library, name)
        decoder.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
        ]
        decoder.restype = ctypes.c_void_p
    return library


_DECODERS = {3: "WebPDecodeRGBInto", 4: "WebPDecodeRGBAInto"}
"""Functions by samples a pixel: file and its size, pixels and their size, bytes of a row."""


def pixels(data: bytes, facts: ImageFacts, still: Still) -> pyvips.Image | None:
    """The picture at its full size; None where it is too large or there is no such library.

    Raises ImageDamagedError where the file is damaged or cut off, or has another size.
    """
    library, bands = _library(), 4 if still.see_through else 3
    if library is None or facts.width * facts.height > MOST_PIXELS:
        return None
    stride = facts.width * bands
    room = bytearray(stride * facts.height)
    decoder = getattr(library, _DECODERS[bands])
    target = (ctypes.c_char * len(room)).from_buffer(room)
    if not decoder(data, len(data), target, len(room), stride):
        raise ImageDamagedError("The WEBP is damaged or cut off: it can't be decoded.")
    image = pyvips.Image.new_from_memory(room, facts.width, facts.height, bands, "uchar")
    return image.copy(interpretation="srgb")
