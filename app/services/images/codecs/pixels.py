"""Renders pixels: size, colour, transparency and orientation."""

import pyvips

from app.services.images.formats import icc

WHITE = 255
PROFILE = "icc-profile-data"
"""libvips' name for the colour profile of a picture."""


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the upright size of a picture stored with this EXIF orientation."""
    return (height, width) if orientation >= 5 else (width, height)


def render(image: pyvips.Image, size: tuple[int, int], orientation: int) -> pyvips.Image:
    """Return ``image`` resized to ``size`` (as stored), upright, as 8-bit grey or sRGB on white.

    An attached colour profile is applied unless it is sRGB. The result is in memory.
    """
    image = _with_usable_profile(image)
    if size == (image.width, image.height):
        image = _convert(image)
    else:
        options = {"output_profile": "srgb"} if _foreign(image) else {}
        image = image.thumbnail_image(
            size[0], height=size[1], size="force", no_rotate=True, **options
        )
    return _turn(_eight_bit(image).copy_memory(), orientation)


def _with_usable_profile(image: pyvips.Image) -> pyvips.Image:
    """Return ``image`` without a profile that can't be applied, which browsers ignore, too.

    Grey pixels with a profile for RGB become RGB.
    """
    if not _foreign(image) or not image.get_typeof(PROFILE):
        return image
    profile = image.get(PROFILE)
    if image.bands < 3 and profile[16:20] == b"RGB ":
        image = image.colourspace("rgb16" if image.format == "ushort" else "srgb")
    if icc.is_for_pictures(profile) and _is_applicable(image):
        return image
    image = image.copy()
    image.remove(PROFILE)
    return image


def _is_applicable(image: pyvips.Image) -> bool:
    # Tried on one pixel, as a failure in the whole picture looks like damage of the picture.
    pixel = pyvips.Image.black(1, 1, bands=image.bands).cast(image.format)
    pixel = pixel.copy(interpretation=image.interpretation)
    pixel.set_type(pyvips.GValue.blob_type, PROFILE, image.get(PROFILE))
    try:
        _convert(pixel)
    except pyvips.Error:
        return False
    return True


def _foreign(image: pyvips.Image) -> bool:
    """Return whether the colours are not sRGB, by a profile or because the picture is for print."""
    if image.get_typeof(PROFILE):
        return not icc.is_srgb(image.get(PROFILE))
    return bool(image.interpretation == "cmyk")


def _convert(image: pyvips.Image) -> pyvips.Image:
    if not _foreign(image):
        return image
    # Where a print picture brings no profile, libvips' own stands in.
    return image.icc_transform("srgb", embedded=True, input_profile="cmyk")


def _eight_bit(image: pyvips.Image) -> pyvips.Image:
    # Scales 16 bits to 8, where a plain cast would clip.
    image = image.colourspace("b-w" if image.interpretation in {"b-w", "grey16"} else "srgb")
    if image.hasalpha():
        image = image.flatten(background=WHITE)
    return image.cast("uchar")


def _turn(image: pyvips.Image, orientation: int) -> pyvips.Image:
    if orientation == 1:
        return image
    if orientation in {2, 4}:
        return image.fliphor() if orientation == 2 else image.flipver()
    if orientation == 3:
        return image.rot180()
    turned = image.rot270() if orientation == 8 else image.rot90()
    return (
        turned.fliphor() if orientation == 5 else turned.flipver() if orientation == 7 else turned
    )
