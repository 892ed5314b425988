"""Transfers pixels decoded by Pillow and pillow_heif to libvips."""

from collections.abc import Mapping
from types import MappingProxyType

import pillow_heif
import pyvips
from PIL import Image


def from_heif(picture: pillow_heif.HeifImage) -> pyvips.Image:
    """Return the pixels as a libvips image, 8 or 16 bits per sample, with the colour profile."""
    bands = HEIF_BANDS.get(picture.mode)
    if bands is None:
        return from_pillow(picture.to_pillow())
    deep = picture.mode.endswith(";16")
    # Pillow would copy the pixels twice. Decoding may correct the size.
    samples = picture.data
    image = pyvips.Image.new_from_memory(
        samples, *picture.size, bands, "ushort" if deep else "uchar"
    )
    grey, colour = ("grey16", "rgb16") if deep else ("b-w", "srgb")
    image = image.copy(interpretation=grey if bands < 3 else colour)
    profile = picture.info.get("icc_profile")
    return with_profile(image, profile if isinstance(profile, bytes) else None)


HEIF_BANDS: Mapping[str, int] = MappingProxyType(
    {
        "L": 1,
        "LA": 2,
        "RGB": 3,
        "RGBA": 4,
        "I;16": 1,
        "L;16": 1,
        "LA;16": 2,
        "RGB;16": 3,
        "RGBA;16": 4,
    }
)
"""Samples per pixel by the modes of `pillow_heif` that libvips also has."""


def with_profile(image: pyvips.Image, profile: bytes | None) -> pyvips.Image:
    """Return ``image`` with the colour profile ``profile`` if it has none of its own."""
    # libvips stores an empty profile, but fails to return it.
    if not profile or image.get_typeof("icc-profile-data"):
        return image
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def from_pillow(picture: Image.Image) -> pyvips.Image:
    """Return the pixels as a libvips image with the picture's colour profile."""
    profile = picture.info.get("icc_profile")
    picture.load()
    if picture.mode == "P":
        pixels = _indexed(picture)
    else:
        if picture.mode not in KEPT_MODES or "transparency" in picture.info:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        pixels = _samples(picture, *KEPT_MODES[picture.mode])
    if profile:
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return pixels


def _samples(picture: Image.Image, kind: str, sample: str) -> pyvips.Image:
    bands = len(picture.getbands())
    image = pyvips.Image.new_from_memory(picture.tobytes(), *picture.size, bands, sample)
    image = image.byteswap() if picture.mode == "I;16B" else image
    return image.copy(interpretation=kind)


def _indexed(picture: Image.Image) -> pyvips.Image:
    """Return a palette picture as colours, which are looked up lazily."""
    entries = bytes(picture.getpalette("RGBA") or ())
    # Pixels and transparency may have indexes beyond the palette.
    palette = bytearray(entries + b"\0\0\0\xff" * (256 - len(entries) // 4))
    see_through = picture.info.get("transparency", b"")
    if isinstance(see_through, int):
        palette[4 * see_through + 3] = 0
    else:
        palette[3 : 4 * len(see_through) : 4] = see_through
    colours = pyvips.Image.new_from_memory(bytes(palette), 256, 1, 4, "uchar")
    if min(palette[3::4]) == 255:
        colours = colours.extract_band(0, n=3)
    return _samples(picture, "b-w", "uchar").maplut(colours).copy(interpretation="srgb")


KEPT_MODES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "L": ("b-w", "uchar"),
        "I;16": ("grey16", "ushort"),
        "I;16B": ("grey16", "ushort"),
        "RGB": ("srgb", "uchar"),
        "RGBA": ("srgb", "uchar"),
        "CMYK": ("cmyk", "uchar"),
    }
)
"""Interpretation and sample format by the Pillow modes that libvips also has."""
