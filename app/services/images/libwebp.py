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
SURPLUS = 32
"""Zero bytes at the end of a picture that no decoder may do without, if they are its own."""


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
    samples = _decoded(library, data, facts, bands)
    if samples is None or _is_filled_up(library, still.coded, facts):
        raise ImageDamagedError("The WEBP is damaged or cut off: it can't be decoded.")
    image = pyvips.Image.new_from_memory(samples, facts.width, facts.height, bands, "uchar")
    return image.copy(interpretation="srgb")


def _decoded(library: ctypes.CDLL, data: bytes, facts: ImageFacts, bands: int) -> bytearray | None:
    """The samples of a file, or of its coded picture; None where they can't be had."""
    stride = facts.width * bands
    room = bytearray(stride * facts.height)
    target = (ctypes.c_char * len(room)).from_buffer(room)
    decoder = getattr(library, _DECODERS[bands])
    return room if decoder(data, len(data), target, len(room), stride) else None


def _is_filled_up(library: ctypes.CDLL, coded: bytes, facts: ImageFacts) -> bool:
    """Whether zeros stand for the end of the coded picture, as an interrupted download leaves them.

    Zeros decode to something. Those of a flat picture are needed to the last; of those that stand
    for other data some are left over, and without any the picture is incomplete.
    """
    if not coded.endswith(bytes(SURPLUS)):
        return False
    fewer, none = coded[:-SURPLUS], coded.rstrip(b"\0")
    return (
        _decoded(library, fewer, facts, 3) is not None and _decoded(library, none, facts, 3) is None
    )
