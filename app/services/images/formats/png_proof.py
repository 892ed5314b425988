"""Proves that a PNG's structure is complete and valid without decoding it."""

import zlib
from collections.abc import Mapping, Sequence
from struct import unpack_from
from types import MappingProxyType
from typing import NamedTuple

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type."""
GREY, TRUECOLOUR, PALETTE = 0, 2, 3
DEPTHS: Mapping[int, frozenset[int]] = MappingProxyType(
    {
        0: frozenset({1, 2, 4, 8, 16}),
        2: frozenset({8, 16}),
        3: frozenset({1, 2, 4, 8}),
        4: frozenset({8, 16}),
        6: frozenset({8, 16}),
    }
)
"""Allowed bits per sample by colour type."""
LONGEST_CHUNK = 0x7FFF_FFFF
_BEFORE_PALETTE = frozenset({b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP"})
_AFTER_PALETTE = frozenset({b"tRNS", b"bKGD", b"hIST"})
_BEFORE_ROWS = _BEFORE_PALETTE | _AFTER_PALETTE | {b"pHYs", b"sPLT", b"mDCV", b"cLLI", b"acTL"}
_ONCE = _BEFORE_ROWS - {b"sPLT"} | {b"IHDR", b"PLTE", b"IEND", b"tIME", b"eXIf"}
_SIZES: Mapping[bytes, int] = MappingProxyType(
    {
        b"IHDR": 13,
        b"IEND": 0,
        b"gAMA": 4,
        b"cHRM": 32,
        b"sRGB": 1,
        b"cICP": 4,
        b"pHYs": 9,
        b"tIME": 7,
        b"mDCV": 24,
        b"cLLI": 8,
        b"acTL": 8,
    }
)
"""Sizes in bytes of chunks with a fixed size."""


class Chunk(NamedTuple):
    """One chunk; ``start`` and ``end`` include its length and checksum."""

    name: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        """Return the chunk's data."""
        return data[self.start + 8 : self.end - 4]

    def intact(self, data: bytes) -> bool:
        """Return whether the checksum is correct."""
        (checksum,) = unpack_from(">I", data, self.end - 4)
        return bool(zlib.crc32(memoryview(data)[self.start + 4 : self.end - 4]) == checksum)


def header_fault(body: bytes) -> str | None:
    """Return the fault of an IHDR chunk's data, or None."""
    if len(body) != 13:
        return f"its header has {len(body)} bytes instead of 13"
    _, _, depth, colour, compression, filtering, interlace = unpack_from(">IIBBBBB", body)
    if depth not in DEPTHS.get(colour, ()):
        return f"there is no colour type {colour} with {depth} bits a sample"
    if compression or filtering or interlace > 1:
        methods = f"{compression}, {filtering} and {interlace}"
        return f"there are no compression, filter and interlace methods {methods}"
    return None


def is_well_formed(data: bytes, chunks: Sequence[Chunk]) -> bool:
    """Return whether the chunks have an allowed order, allowed sizes and correct checksums.

    False does not mean that a picture is unusable, since many decoders tolerate such faults.
    """
    names = [chunk.name for chunk in chunks]
    if len(names) < 3 or names[0] != b"IHDR" or names[-1] != b"IEND" or b"IDAT" not in names:
        return False
    rows = names.index(b"IDAT")
    palette = names.index(b"PLTE") if b"PLTE" in names else rows
    return (
        palette <= rows
        and all(name == b"IDAT" for name in names[rows : rows + names.count(b"IDAT")])
        and all(names.count(name) == 1 for name in _ONCE.intersection(names))
        and not _BEFORE_ROWS.intersection(names[rows:])
        and not _BEFORE_PALETTE.intersection(names[palette:rows])
        and not (palette < rows and _AFTER_PALETTE.intersection(names[:palette]))
        and all(map(_is_allowed, chunks))
        and all(chunk.intact(data) for chunk in chunks)
    )


def _is_allowed(chunk: Chunk) -> bool:
    size = chunk.end - chunk.start - 12
    known = chunk.name in {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    return (
        size <= LONGEST_CHUNK
        and chunk.name.isalpha()
        and size == _SIZES.get(chunk.name, size)
        # A chunk name with an initial capital is critical for drawing the picture.
        and (known or chunk.name[:1].islower())
    )


def is_palette_allowed(palette: bytes | None, colour: int, depth: int) -> bool:
    """Return whether the palette, or its absence as None, is valid for this colour type."""
    if palette is None:
        return colour != PALETTE
    entries, rest = divmod(len(palette), 3)
    most = 1 << depth if colour == PALETTE else 256
    return colour not in {0, 4} and not rest and 1 <= entries <= most


def are_rows_whole(packed: bytes, width: int, height: int, depth: int, colour: int) -> bool:
    """Return whether ``packed`` decompresses to exactly the announced rows with known filters."""
    stride = 1 + (width * CHANNELS[colour] * depth + 7) // 8
    unpacker = zlib.decompressobj()
    try:
        rows = unpacker.decompress(packed, stride * height + 1)
    except zlib.error:
        return False
    return (
        len(rows) == stride * height
        and unpacker.eof
        and not unpacker.unused_data
        and max(rows[::stride]) <= 4
    )
