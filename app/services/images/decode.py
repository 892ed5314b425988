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

from app.domain.errors import ImageDamagedError, ImageError, UnsupportedImageTypeError
from app.domain.image import ImageFacts, ImageLimits, ImageType
from app.services.images import libwebp
from app.services.images.formats import (
    gif,
    heif,
    heif_data,
    heif_sequence,
    jpeg,
    png,
    tiff,
    tiff_tags,
    webp,
)
from app.services.images.pixel_transfer import from_heif, from_pillow, with_profile

LEAST_SHRINK_LEFT = 1.5
"""How much shrinking stays for the resize after a decoder has shrunk a JPEG or a huge WebP.

libvips' thumbnail leaves 2; measured on 12-megapixel photos 1.5 is 1.3 times faster and the
structural similarity to a full decode stays above 0.98.
"""
SHRUNK_WHILE_DECODED = frozenset({ImageType.JPEG, ImageType.WEBP})
"""Types whose decoders may give a smaller picture, for less work or memory."""
STREAMED = {"access": "sequential", "fail_on": "error"}
"""Rows are decoded once, top to bottom, and damage is an error and not grey rows."""
ZEROS = bytes(64)
"""More of them than an AVIF needs."""
BOUNDS = ImageLimits()
"""The limits for reading again what was read before within a caller's limits."""


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
    except (MemoryError, ImageError):
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
    # Rows that are missing are looked for afterwards: browsers show what is there.
    options = {**STREAMED, "fail_on": "none"}
    return pyvips.Image.jpegload_buffer(jpeg.closed(data, BOUNDS), shrink=shrink, **options)


def _png(data: bytes) -> pyvips.Image:
    # The decoder never sees text chunks: unpacking those is how PNG bombs go off.
    image = pyvips.Image.pngload_buffer(png.essential(data), **STREAMED)
    return with_profile(image, png.profile(data, BOUNDS))


def _webp(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    still = webp.still(data)
    image = None if still is None else libwebp.pixels(data, facts, still)
    if still is not None and image is not None:
        return with_profile(image, still.profile)
    scale = max(target[0] / facts.width, target[1] / facts.height) * LEAST_SHRINK_LEFT
    options = {"scale": scale} if still is not None and scale < 1 else {}
    return pyvips.Image.webpload_buffer(data, page=0, **options, **STREAMED)


def _gif(data: bytes) -> pyvips.Image:
    screen = gif.structure(data, BOUNDS)
    # libvips guesses the size of some screens, and shows what is there of a frame cut short.
    with Image.open(BytesIO(gif.first_frame(data, screen)), formats=["GIF"]) as picture:
        image = from_pillow(picture)
    frame = screen.first
    if frame is None or (screen.width, screen.height) == (frame.width, frame.height):
        return image
    # What no frame covers is transparent.
    image = image.colourspace("srgb")
    image = image if image.hasalpha() else image.addalpha()
    return image.embed(frame.left, frame.top, screen.width, screen.height)


def _tiff(data: bytes) -> pyvips.Image:
    alone, page = tiff.picture(data, BOUNDS)
    return tiff_page(alone, page)


def tiff_page(data: bytes, page: tiff.Page) -> pyvips.Image:
    """The only page of a TIFF, stored as ``page`` says: grey, RGB or CMYK, alpha at most beside."""
    if page.needs_pillow:
        with Image.open(BytesIO(data), formats=["TIFF"]) as picture:
            picture.load()
            # Stored side up, as libvips gives it.
            return from_pillow(picture)
    image = pyvips.Image.tiffload_buffer(data, page=0, **STREAMED)
    colours = tiff_tags.CHANNELS[page.colours]
    return image if page.colours == tiff_tags.INDEXED else _without_extras(image, colours, page)


def _without_extras(image: pyvips.Image, colours: int, page: tiff.Page) -> pyvips.Image:
    """``image`` with its colours and its transparency, and nothing that is neither."""
    if image.bands <= colours:
        return image
    deep = image.format == "ushort"
    kind = {1: ("b-w", "grey16"), 3: ("srgb", "rgb16"), 4: ("cmyk", "cmyk")}[colours][deep]
    see_through = {tiff_tags.ASSOCIATED, tiff_tags.UNASSOCIATED}
    place = next((n for n, extra in enumerate(page.extras) if extra in see_through), None)
    plain = image.extract_band(0, n=colours).copy(interpretation=kind)
    if place is None or colours + place >= image.bands:
        return plain
    # Colours multiplied by their transparency have been divided by it when libvips loaded them.
    return plain.bandjoin(image.extract_band(colours + place)).copy(interpretation=kind)


def _bmp(data: bytes) -> pyvips.Image:
    try:
        with Image.open(BytesIO(data), formats=["BMP"]) as picture:
            return from_pillow(picture)
    except OSError as error:
        if not str(error).startswith("Unsupported BMP"):
            raise
        raise UnsupportedImageTypeError(
            f"This is a BMP of a kind that is not accepted ({error}); send it with 1, 4, 8, 24 or "
            "32 bits a pixel, or as PNG."
        ) from error


def _avif(data: bytes) -> pyvips.Image:
    data = heif_sequence.first_picture(data, BOUNDS)
    stored = heif.storage(data, BOUNDS)
    if stored.deep or stored.cropped or ZEROS in data:
        # Pillow would leave 8 bits of it, too few for HDR, it crops nothing, and it draws something
        # of what an interrupted download filled with zeros.
        image = pyvips.Image.heifload_buffer(data, **STREAMED)
    else:
        with Image.open(BytesIO(data), formats=["AVIF"]) as picture:
            image = from_pillow(ImageOps.exif_transpose(picture))
    return with_profile(image, stored.profile)


def _heic(data: bytes) -> pyvips.Image:
    data = heif_sequence.first_picture(data, BOUNDS)
    share = heif_data.share_written(data, BOUNDS)
    if share < 1:
        raise ImageDamagedError(
            f"The HEIC is cut off: it has data for only {share:.0%} of its picture."
        )
    file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
    return with_profile(from_heif(file[file.primary_index]), heif.storage(data, BOUNDS).profile)


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
