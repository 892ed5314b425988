"""Decodes still WebP pictures with the libwebp that Pillow is linked with.

Pillow and libvips decode every WebP as an animation, with a canvas and copies of it, which takes
four times as long as decoding a screenshot.
"""

import ctypes
import importlib.util
from functools import cache

import pyvips

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageFacts
from app.services.images.formats import padding
from app.services.images.formats.webp import Still

MOST_PIXELS = 40_000_000
"""Maximum pixels of a picture that is whole in memory; a lossless one takes 280 MB to decode."""
SURPLUS = 32
"""Number of final repeated bytes without which a decoder must fail if they are real data."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return the library of Pillow's WebP module, or None if Pillow was built without it."""
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
"""Functions by samples per pixel, which take the file, its size, a buffer, its size and stride."""


def pixels(data: bytes, facts: ImageFacts, still: Still) -> pyvips.Image | None:
    """Return the picture at full size, or None if it is too large or the library is missing.

    Raises ImageDamagedError if the file is damaged or cut off, or has another size.
    """
    library, bands = _library(), 4 if still.see_through else 3
    if library is None or facts.width * facts.height > MOST_PIXELS:
        return None
    samples = _decoded(library, data, facts, bands)
    if samples is None or _is_filled_up(library, still.coded, facts):
        raise ImageDamagedError("The WEBP is damaged or cut off: it can't be decoded.")
    image = pyvips.Image.new_from_memory(samples, facts.width, facts.height, bands, "uchar")
    return image.copy(interpretation="srgb")


def _decoded(library: ctypes.CDLL, data: bytes, facts: ImageFacts, bands: int) -> bytearray | None:
    """Decode a file or a bare bitstream to samples; return None if that fails."""
    stride = facts.width * bands
    room = bytearray(stride * facts.height)
    target = (ctypes.c_char * len(room)).from_buffer(room)
    decoder = getattr(library, _DECODERS[bands])
    return room if decoder(data, len(data), target, len(room), stride) else None


def _is_filled_up(library: ctypes.CDLL, coded: bytes, facts: ImageFacts) -> bool:
    """Return whether the end of the bitstream is the padding of an interrupted download.

    A decoder accepts such padding. If the bytes were real data, as in a flat picture, it would need
    all of them; padding can be shortened, but without any of it the picture is incomplete.
    """
    first = padding.start(coded, 0, len(coded))
    if first == len(coded):
        return False
    fewer, none = coded[:-SURPLUS], coded[:first]
    return (
        _decoded(library, fewer, facts, 3) is not None and _decoded(library, none, facts, 3) is None
    )
