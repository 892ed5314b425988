"""The pixel path: resize, colour, transparency, orientation."""

import pyvips

WHITE = 255


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size that a viewer sees of a picture stored with this EXIF orientation."""
    return (height, width) if orientation >= 5 else (width, height)


def render(
    image: pyvips.Image, size: tuple[int, int], orientation: int, *, convert: bool
) -> pyvips.Image:
    """``image`` at ``size`` (stored side up), then upright, 8-bit grey or sRGB, on white.

    ``convert`` asks for the attached colour profile to be applied. The result is in memory.
    """
    shrinks = size != (image.width, image.height)
    if shrinks:
        image = _resize(image, size, convert=convert)
    return _turn(_eight_bit(image, convert=convert and not shrinks).copy_memory(), orientation)


def _resize(image: pyvips.Image, size: tuple[int, int], *, convert: bool) -> pyvips.Image:
    width, height = size
    options = {"output_profile": "srgb"} if convert else {}
    return image.thumbnail_image(width, height=height, size="force", no_rotate=True, **options)


def _eight_bit(image: pyvips.Image, *, convert: bool) -> pyvips.Image:
    if image.interpretation == "cmyk" or (convert and image.get_typeof("icc-profile-data")):
        image = image.icc_transform("srgb", embedded=True, input_profile=image.interpretation)
    space = "b-w" if image.interpretation in {"b-w", "grey16"} else "srgb"
    # Scales 16 bits down to 8; a plain cast would clip.
    image = image.colourspace(space)
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
