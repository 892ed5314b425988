"""WebP: the header read."""

from collections.abc import Iterator
from struct import unpack_from

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats import exif
from app.services.images.formats.layout import ChunkCounter, Layout


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk's body."""
    at = 12
    while at + 8 <= len(data):
        name, size = unpack_from("<4sI", data, at)
        yield name, at + 8, size
        at += 8 + size + (size & 1)


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of a still or animated WebP."""
    size: tuple[int, int] | None = None
    frames, orientation, metadata = 0, 0, 0
    counter = ChunkCounter(limits)
    for name, at, length in _chunks(data):
        counter.step()
        if size is None:
            size = _size(data, name, at)
        if name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
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


LOSSY, LOSSLESS = b"VP8 ", b"VP8L"
"""How a still picture is packed: photographs the first way, drawings the second."""


def holds(data: bytes, packing: bytes) -> bool:
    """Whether a file, `read` before, is a still picture that is packed this way."""
    return any(name == packing for name, _, _ in _chunks(data))


def _size(data: bytes, name: bytes, at: int) -> tuple[int, int] | None:
    """The picture's size from the chunk that carries it: extended, lossy or lossless."""
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
