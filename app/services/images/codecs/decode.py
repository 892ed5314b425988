"""Decodes a picture with the one decoder for its detected type.

The libvips loaders stream pixels on demand of the resize, so a large picture is never whole in
memory. Pillow decodes formats that libvips can't.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType

import pillow_heif
import pyvips
from PIL import Image, ImageOps

from app.domain.errors import ImageDamagedError, ImageError, UnsupportedImageTypeError
from app.domain.image import ImageFacts, ImageLimits, ImageType
from app.services.images.codecs import libwebp
from app.services.images.codecs.pixel_transfer import from_heif, from_pillow, with_profile
from app.services.images.formats import (
    bmp,
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

LEAST_SHRINK_LEFT = 1.5
"""Minimum factor left for the resize after a decoder has shrunk a JPEG or a huge WebP.

libvips' thumbnail leaves 2. On 12-megapixel photos 1.5 is 1.3 times faster, and the structural
similarity to a full decode stays above 0.98.
"""
SHRUNK_WHILE_DECODED = frozenset({ImageType.JPEG, ImageType.WEBP})
"""Types whose decoders can shrink the picture, for less work or memory."""
STREAMED = {"access": "sequential", "fail_on": "error"}
"""Options to decode rows once, top to bottom, with damage as an error instead of grey rows."""
ZEROS = bytes(64)
"""More zeros than any AVIF contains."""
BOUNDS = ImageLimits()
"""Limits for reading data again that was already checked against the caller's limits."""


def decode(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    """Return the first frame at full size, or shrunk but larger than ``target`` if that is free.

    It is oriented as stored, or upright (see `is_upright`). ``target`` is the size in pixels, as
    stored, to which the caller will resize.
    """
    try:
        if facts.media_type is ImageType.JPEG:
            return _jpeg(data, facts, target)
        if facts.media_type is ImageType.WEBP:
            return _webp(data, facts, target)
        if facts.media_type is ImageType.BMP:
            return _bmp(data, facts)
        return LOADERS[facts.media_type](data)
    except (MemoryError, ImageError):
        raise
    except Exception as error:
        raise damaged(facts) from error


def damaged(facts: ImageFacts) -> ImageDamagedError:
    """Return the refusal of a picture with a valid header whose pixels can't be decoded."""
    kind = facts.media_type.short_name.upper()
    return ImageDamagedError(f"The {kind} is damaged or cut off: it can't be decoded.")


def is_upright(media_type: ImageType) -> bool:
    """Return whether the decoder for this type applies the orientation itself."""
    return media_type in {ImageType.HEIC, ImageType.AVIF}


def _jpeg(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    factor = min(facts.width / target[0], facts.height / target[1])
    shrink = next(s for s in (8, 4, 2, 1) if s == 1 or factor / s >= LEAST_SHRINK_LEFT)
    # Missing rows are searched for afterwards, since browsers show the rest.
    options = {**STREAMED, "fail_on": "none"}
    return pyvips.Image.jpegload_buffer(jpeg.closed(data, BOUNDS), shrink=shrink, **options)


def _png(data: bytes) -> pyvips.Image:
    # Text chunks are removed first, because PNG bombs are in their compressed data.
    image = pyvips.Image.pngload_buffer(png.essential(data), **STREAMED)
    return with_profile(image, png.profile(data, BOUNDS))


def _webp(data: bytes, facts: ImageFacts, target: tuple[int, int]) -> pyvips.Image:
    still = webp.still(data)
    image = None if still is None else libwebp.pixels(data, facts, still)
    if still is not None and image is not None:
        return with_profile(image, still.profile)
    scale = max(target[0] / facts.width, target[1] / facts.height) * LEAST_SHRINK_LEFT
    options = {"scale": scale} if still is not None and scale < 1 else {}
    alone = data if still is not None else webp.first_frame(data)
    return pyvips.Image.webpload_buffer(alone, page=0, **options, **STREAMED)


def _gif(data: bytes) -> pyvips.Image:
    screen = gif.structure(data, BOUNDS)
    # libvips guesses some screens' sizes and shows the available part of a frame cut short.
    with Image.open(BytesIO(gif.first_frame(data, screen)), formats=["GIF"]) as picture:
        image = from_pillow(picture)
    frame = screen.first
    if frame is None or (screen.width, screen.height) == (frame.width, frame.height):
        return image
    # Pixels outside the frame are transparent.
    image = image.colourspace("srgb")
    image = image if image.hasalpha() else image.addalpha()
    return image.embed(frame.left, frame.top, screen.width, screen.height)


def _tiff(data: bytes) -> pyvips.Image:
    alone, page = tiff.picture(data, BOUNDS)
    return tiff_page(alone, page)


def tiff_page(data: bytes, page: tiff.Page) -> pyvips.Image:
    """Return the only page of a TIFF as grey, RGB or CMYK, possibly with alpha."""
    if page.needs_pillow:
        with Image.open(BytesIO(data), formats=["TIFF"]) as picture:
            picture.load()
            # Oriented as stored, as libvips returns it.
            image = from_pillow(picture)
        # Pillow inverts only samples of up to 8 bits.
        inverted = page.colours == tiff_tags.WHITE_IS_ZERO and image.format == "ushort"
        return image.invert() if inverted else image
    image = pyvips.Image.tiffload_buffer(data, page=0, **STREAMED)
    colours = tiff_tags.CHANNELS[page.colours]
    return image if page.colours == tiff_tags.INDEXED else _without_extras(image, colours, page)


def _without_extras(image: pyvips.Image, colours: int, page: tiff.Page) -> pyvips.Image:
    """Return ``image`` with its colours and transparency only."""
    if image.bands <= colours:
        return image
    deep = image.format == "ushort"
    kind = {1: ("b-w", "grey16"), 3: ("srgb", "rgb16"), 4: ("cmyk", "cmyk")}[colours][deep]
    see_through = {tiff_tags.ASSOCIATED, tiff_tags.UNASSOCIATED}
    place = next((n for n, extra in enumerate(page.extras) if extra in see_through), None)
    plain = image.extract_band(0, n=colours).copy(interpretation=kind)
    if place is None or colours + place >= image.bands:
        return plain
    # libvips has already divided premultiplied colours by their transparency.
    return plain.bandjoin(image.extract_band(colours + place)).copy(interpretation=kind)


def _bmp(data: bytes, facts: ImageFacts) -> pyvips.Image:
    fields = bmp.bit_fields(data)
    image = _pillows_bmp(data) if fields is None else _bit_fields(data, facts, fields)
    return with_profile(image, bmp.profile(data))


def _bit_fields(data: bytes, facts: ImageFacts, stored: bmp.BitFields) -> pyvips.Image:
    stride = (facts.width * stored.bits + 31) // 32 * 4
    rows = data[stored.start : stored.start + stride * facts.height]
    if len(rows) < stride * facts.height:
        raise damaged(facts)
    kind = "ushort" if stored.bits == 16 else "uint"
    pixels = pyvips.Image.new_from_memory(
        rows, stride * 8 // stored.bits, facts.height, 1, kind
    ).crop(0, 0, facts.width, facts.height)
    bands = [
        ((pixels >> shift) & most).linear(255 / max(most, 1), 0.5).cast("uchar")
        for shift, most in stored.fields
    ]
    image = bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")
    return image if stored.downwards else image.flipver()


def _pillows_bmp(data: bytes) -> pyvips.Image:
    try:
        with Image.open(BytesIO(data), formats=["BMP"]) as picture:
            return from_pillow(picture)
    except OSError as error:
        if not str(error).startswith("Unsupported BMP"):
            raise
        raise UnsupportedImageTypeError(
            f"This is a BMP of a kind that is not accepted ({error}); send it with 1, 4, 8, 16, 24 "
            "or 32 bits a pixel, or as PNG."
        ) from error


def _avif(data: bytes) -> pyvips.Image:
    data = heif_sequence.first_picture(data, BOUNDS)
    _check_written(data, ImageType.AVIF)
    stored = heif.storage(data, BOUNDS)
    if stored.deep or stored.cropped or stored.overlaid or ZEROS in data:
        # Pillow would reduce it to 8 bits, too few for HDR, would not crop it, can't read overlays,
        # and would draw zeros amid an interrupted download.
        image = pyvips.Image.heifload_buffer(data, **STREAMED)
    else:
        with Image.open(BytesIO(data), formats=["AVIF"]) as picture:
            image = from_pillow(ImageOps.exif_transpose(picture))
    return with_profile(image, stored.profile)


def _check_written(data: bytes, kind: ImageType) -> None:
    """Raise ImageDamagedError if a HEIC or AVIF is padded, as its decoders draw the padding."""
    share = heif_data.share_written(data, BOUNDS)
    if share < 1:
        raise ImageDamagedError(
            f"The {kind.short_name.upper()} is cut off: it has data for only {share:.0%} of its "
            "picture."
        )


def _heic(data: bytes) -> pyvips.Image:
    data = heif_sequence.first_picture(data, BOUNDS)
    _check_written(data, ImageType.HEIC)
    file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
    return with_profile(from_heif(file[file.primary_index]), heif.storage(data, BOUNDS).profile)


LOADERS: Mapping[ImageType, Callable[[bytes], pyvips.Image]] = MappingProxyType(
    {
        ImageType.PNG: _png,
        ImageType.GIF: _gif,
        ImageType.TIFF: _tiff,
        ImageType.HEIC: _heic,
        ImageType.AVIF: _avif,
    }
)
"""The loader of each detected type; libvips' own detection is not used."""
