"""PNG: the header read, and everything cut out that is not the picture."""

import zlib
from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats import exif, icc
from app.services.images.formats.layout import ChunkCounter, Layout

SIGNATURE = 8
PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""What a decoder needs to draw the picture."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by PNG's colour type."""
GREY, TRUECOLOUR, PALETTE = 0, 2, 3


class Chunk(NamedTuple):
    """One chunk; ``start`` and ``end`` span its length and checksum too."""

    name: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        """The chunk's own bytes."""
        return data[self.start + 8 : self.end - 4]

    def intact(self, data: bytes) -> bool:
        """Whether the checksum holds."""
        (checksum,) = unpack_from(">I", data, self.end - 4)
        return bool(zlib.crc32(memoryview(data)[self.start + 4 : self.end - 4]) == checksum)


def chunks(data: bytes, limits: ImageLimits) -> Iterator[Chunk]:
    """Every whole chunk up to IEND; ends early, without IEND, where the file is cut off."""
    counter = ChunkCounter(limits)
    for chunk in _walk(data):
        counter.step()
        yield chunk


def _walk(data: bytes) -> Iterator[Chunk]:
    at = SIGNATURE
    while at + 12 <= len(data):
        size, name = unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            return
        yield Chunk(name, at, end)
        if name == b"IEND":
            return
        at = end


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the picture; an APNG's frames are counted, not looked at."""
    if data[12:16] != b"IHDR":
        raise ImageDamagedError("The PNG is damaged: it does not begin with its header.")
    width, height, depth, colour, _, _, interlaced = unpack_from(">IIBBBBB", data, 16)
    found = {chunk.name: chunk for chunk in chunks(data, limits)}
    profile = _profile(found[b"iCCP"].body(data), limits) if b"iCCP" in found else b""
    metadata = found[b"eXIf"].body(data) if b"eXIf" in found else b""
    foreign = bool(profile) and not icc.is_srgb(profile)
    return Layout(
        width=width,
        height=height,
        orientation=exif.orientation(metadata) if metadata else 1,
        frames=unpack_from(">I", data, found[b"acTL"].start + 8)[0] if b"acTL" in found else 1,
        plain=colour in {GREY, TRUECOLOUR, PALETTE}
        and depth <= 8
        and not (interlaced or foreign or b"tRNS" in found),
        largest_metadata=max(len(profile), len(metadata)),
    )


def _profile(body: bytes, limits: ImageLimits) -> bytes:
    """The unpacked colour profile, one byte over the limit at most; empty if it is broken."""
    _, _, packed = body.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], limits.max_metadata_bytes + 1)
    except zlib.error:
        return b""


def stripped(data: bytes, limits: ImageLimits) -> bytes | None:
    """``data`` without metadata, comments, animation and what follows the picture.

    The same object where there is nothing to cut. None where the file can't be proven whole:
    a checksum fails, or its packed rows are not exactly those that the header announces.
    """
    kept = [chunk for chunk in chunks(data, limits) if chunk.name in PICTURE]
    names = [chunk.name for chunk in kept if chunk.name != b"IDAT"]
    if names not in ([b"IHDR", b"IEND"], [b"IHDR", b"PLTE", b"IEND"]):
        return None
    if not all(chunk.intact(data) for chunk in kept) or not _rows_whole(data, kept):
        return None
    result = essential(data, profile=False)
    return data if len(result) == len(data) else result


def _rows_whole(data: bytes, kept: list[Chunk]) -> bool:
    """Whether the packed rows unpack to what the header announces, each with a known filter."""
    width, height, depth, colour = unpack_from(">IIBB", data, 16)
    palette = kept[1].body(data) if kept[1].name == b"PLTE" else b""
    if len(palette) % 3 or (bool(palette) != (colour == PALETTE) and colour != TRUECOLOUR):
        return False
    stride = 1 + (width * CHANNELS[colour] * depth + 7) // 8
    packed = b"".join(chunk.body(data) for chunk in kept if chunk.name == b"IDAT")
    unpacker = zlib.decompressobj()
    try:
        rows = unpacker.decompress(packed, stride * height + 1)
    except zlib.error:
        return False
    return len(rows) == stride * height and unpacker.eof and max(rows[::stride]) <= 4


def essential(data: bytes, *, profile: bool) -> bytes:
    """The file with only the chunks that draw the picture, and its colour profile if asked.

    ``data`` was `read` before, so its chunks are known to be within the limits.
    """
    wanted = PICTURE | {b"iCCP"} if profile else PICTURE
    every = list(_walk(data))
    kept = [c for c in every if c.name in wanted]
    if len(kept) == len(every) and kept[-1].end == len(data):
        return data
    return b"".join([data[:SIGNATURE], *(data[c.start : c.end] for c in kept)])
