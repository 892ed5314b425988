"""Recognises sRGB colour profiles by their description."""

import struct
from struct import unpack_from

SRGB_NAMES = ("srgb", "c2")
"""Names of sRGB profiles; ``c2`` is the compact one of large web sites."""
MAX_TAGS = 100


def is_srgb(profile: bytes) -> bool:
    """Return whether ``profile`` is an sRGB display profile, so that conversion changes nothing."""
    if profile[36:40] != b"acsp" or profile[16:20] != b"RGB ":
        return False
    try:
        return _description(profile).lower().startswith(SRGB_NAMES)
    except (struct.error, ValueError):
        return False


def is_for_pictures(profile: bytes) -> bool:
    """Return whether ``profile`` is for colours of accepted pictures: RGB, grey or CMYK."""
    return profile[36:40] == b"acsp" and profile[16:20] in (b"RGB ", b"GRAY", b"CMYK")


def _description(profile: bytes) -> str:
    (count,) = unpack_from(">I", profile, 128)
    for tag in range(132, 132 + 12 * min(count, MAX_TAGS), 12):
        name, at, size = unpack_from(">4sII", profile, tag)
        if name == b"desc":
            return _text(profile[at : at + min(size, 4_096)])
    raise ValueError("no description")


def _text(tag: bytes) -> str:
    """Return the text of a ``desc`` (ASCII) or ``mluc`` (UTF-16) tag."""
    if tag.startswith(b"desc"):
        (length,) = unpack_from(">I", tag, 8)
        return tag[12 : 12 + length].decode("ascii", "replace")
    length, at = unpack_from(">II", tag, 20)
    return tag[at : at + length].decode("utf-16-be", "replace")
