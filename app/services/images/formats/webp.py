"""Reads WebP headers."""

from collections.abc import Iterator
from struct import pack, unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats import exif
from app.services.images.formats.layout import ChunkCounter, Layout

ANIMATED, EXIF, ALPHA, PROFILE = 0x02, 0x08, 0x10, 0x20
"""Flags of the extended header."""
ALPHA_USED = 0x10
"""The bit in the fifth byte of a lossless picture that announces transparency."""


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start and size of each chunk's body, up to the size in the file header."""
    at, end = 12, 8 + unpack_from("<I", data, 4)[0]
    while at + 8 <= min(end, len(data)):
        name, size = unpack_from("<4sI", data, at)
        yield name, at + 8, size
        at += 8 + size + (size & 1)


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of a still or animated WebP."""
    size: tuple[int, int] | None = None
    frames, orientation, metadata, flags = 0, 0, 0, 0
    counter = ChunkCounter(limits)
    for name, at, length in _chunks(data):
        counter.step()
        if size is None:
            size = _size(data, name, at)
        if name == b"VP8X":
            flags = data[at]
        elif name == b"ANMF":
            frames += 1
        # Like the profile, it is ignored by decoders unless the header announces it.
        elif name == b"EXIF" and flags & EXIF:
            orientation = orientation or exif.orientation(data[at : at + length])
            metadata = max(metadata, length)
        elif name == b"ICCP":
            metadata = max(metadata, length)
    if size is None:
        raise ImageDamagedError("The WebP is damaged or cut off before its picture begins.")
    return Layout(
        *size,
        orientation=orientation or 1,
        frames=max(frames, 1),
        largest_metadata=metadata,
    )


class Still(NamedTuple):
    """A picture that is not an animation."""

    see_through: bool
    profile: bytes | None
    """Its ICC profile."""
    coded: bytes
    """Its bitstream."""


def still(data: bytes) -> Still | None:
    """Return the only picture of a file that passed `read`, or None for an animation."""
    flags, see_through, profile, coded = 0, False, None, b""
    for name, at, length in _chunks(data):
        if name == b"VP8X":
            flags = data[at]
        elif name == b"ICCP":
            profile = profile or data[at : at + length]
        elif name in {b"VP8 ", b"VP8L"}:
            coded = data[at : at + length]
            see_through = name == b"VP8L" and bool(data[at + 4] & ALPHA_USED)
    if not coded or flags & ANIMATED:
        return None
    return Still(see_through or bool(flags & ALPHA), profile if flags & PROFILE else None, coded)


def first_frame(data: bytes) -> bytes:
    """Return an animation with its first frame only, as later ones may be cut off."""
    kept, seen = [], False
    for name, at, length in _chunks(data):
        if name != b"ANMF" or not seen:
            kept.append(data[at - 8 : at + length + (length & 1)])
        seen = seen or name == b"ANMF"
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + pack("<I", len(body)) + body


def _size(data: bytes, name: bytes, at: int) -> tuple[int, int] | None:
    """Return the picture's size from an extended, lossy or lossless chunk, else None."""
    if name == b"VP8X":
        return 1 + int.from_bytes(data[at + 4 : at + 7], "little"), 1 + int.from_bytes(
            data[at + 7 : at + 10], "little"
        )
    if name == b"VP8 ":
        width, height = unpack_from("<HH", data, at + 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L":
        (bits,) = unpack_from("<I", data, at + 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
