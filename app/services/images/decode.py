"""Turn a picture's bytes into pixels, by the one decoder for its sniffed type.

The libvips loaders stream: pixels appear when the resize asks for them, so a large picture
never stands in memory whole. Formats that libvips can't read go through Pillow.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType

import pillow_heif
import pyvips
from PIL import Image, ImageOps

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageFacts, ImageType
from app.services.images.formats import png, webp

LEAST_SHRINK_LEFT = 1.5
"""How much shrinking stays for the resize after a JPEG was shrunk by its own transform.

libvips' thumbnail leaves 2; measured on 12-megapixel photos 1.5 is 1.3 times faster and the
structural similarity to a full decode stays above 0.98.
"""


SHRUNK_WHILE_DECODED = frozenset({ImageType.JPEG, ImageType.WEBP})
"""Types whose decoders give a smaller picture for less work."""
STREAMED = {"access": "sequential", "fail_on": "error"}
"""Rows are decoded once, top to bottom, and damage is an error and not grey rows."""


def decode(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    """The first frame at its full size, or larger than ``target`` where shrinking is free.

    As stored, or upright (see `is_upright`). ``target`` is the size in pixels, stored side up,
    that the caller will resize to.
    """
    try:
        if facts.media_type is ImageType.JPEG:
            return _jpeg(data, facts, target)
        if facts.media_type is ImageType.WEBP:
            return _webp(data, facts, target)
        return LOADERS[facts.media_type](data)
    except MemoryError:
        raise
    except Exception as error:
        raise damaged(facts) from error


def damaged(facts: ImageFacts) -> ImageDamagedError:
    """The refusal of a picture whose header was right but whose pixels can't be had."""
    kind = facts.media_type.short_name.upper()
    return ImageDamagedError(f"The {kind} is damaged or cut off: it can't be decoded.")


def is_upright(media_type: ImageType) -> bool:
    """Whether the decoder for this type turns pictures itself."""
    return media_type in {ImageType.HEIC, ImageType.AVIF}


def _jpeg(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    factor = min(facts.width / target[0], facts.height / target[1])
    shrink = next(s for s in (8, 4, 2, 1) if s == 1 or factor / s >= LEAST_SHRINK_LEFT)
    return pyvips.Image.jpegload_buffer(data, shrink=shrink, **STREAMED)


def _png(data: bytes) -> pyvips.Image:
    # The decoder never sees text chunks: unpacking those is how PNG bombs go off.
    return pyvips.Image.pngload_buffer(png.essential(data, profile=True), **STREAMED)


def _webp(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    scale = min(1.0, max(target[0] / facts.width, target[1] / facts.height))
    # The decoder's own scaling blurs a little, as libvips' thumbnail does: right for photographs
    # only, whereas lossless files are drawings and pages.
    options = {"scale": scale} if webp.is_lossy(data) else {}
    return pyvips.Image.webpload_buffer(data, page=0, **options, **STREAMED)


def _gif(data: bytes) -> pyvips.Image:
    return pyvips.Image.gifload_buffer(data, page=0, **STREAMED)


def _tiff(data: bytes) -> pyvips.Image:
    return pyvips.Image.tiffload_buffer(data, page=0, **STREAMED)


def _bmp(data: bytes) -> pyvips.Image:
    with Image.open(BytesIO(data), formats=["BMP"]) as picture:
        return from_pillow(picture)


def _avif(data: bytes) -> pyvips.Image:
    with Image.open(BytesIO(data), formats=["AVIF"]) as picture:
        return from_pillow(ImageOps.exif_transpose(picture))


def _heic(data: bytes) -> pyvips.Image:
    file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=True)
    return from_pillow(file[file.primary_index].to_pillow())


def from_pillow(picture: Image.Image) -> pyvips.Image:
    """The same pixels in libvips, with the picture's colour profile."""
    profile = picture.info.get("icc_profile")
    if picture.mode not in {"L", "RGB", "RGBA"}:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    pixels = pyvips.Image.new_from_memory(
        picture.tobytes(), picture.width, picture.height, len(picture.getbands()), "uchar"
    )
    kind = "b-w" if picture.mode == "L" else "srgb"
    pixels = pixels.copy(interpretation=kind)
    if profile:
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return pixels


LOADERS: Mapping[ImageType, Callable[[bytes], pyvips.Image]] = MappingProxyType(
    {
        ImageType.PNG: _png,
        ImageType.GIF: _gif,
        ImageType.TIFF: _tiff,
        ImageType.BMP: _bmp,
        ImageType.HEIC: _heic,
        ImageType.AVIF: _avif,
    }
)
"""Only the loader of the sniffed type is ever asked; libvips' own guessing is not used."""
