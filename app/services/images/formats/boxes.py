"""Reads the boxes of HEIF, AVIF and MP4 files (ISO 14496-12)."""

from collections.abc import Iterator, Sequence
from struct import error, unpack_from
from typing import NamedTuple

from app.services.images.formats.layout import ChunkCounter

PICTURE = frozenset({b"ftyp", b"meta", b"moov", b"mdat"})
"""Top-level boxes that are needed for a picture."""


class Box(NamedTuple):
    """One box with its four-letter name and the span of its body."""

    name: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int, counter: ChunkCounter) -> Iterator[Box]:
    """Yield the boxes between two offsets, or raise ValueError if one extends past the end."""
    at = start
    while at + 8 <= min(end, len(data)):
        counter.step()
        size, name = unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = unpack_from(">Q", data, at + 8)
            head = 16
        stop = at + size if size else end
        if not at + head <= stop <= end:
            # Decoders fill in missing data of a truncated file, but the caller should know.
            raise ValueError("a box is smaller than its header or reaches past its end")
        yield Box(name, at + head, stop)
        at = stop


def outermost(data: bytes, counter: ChunkCounter) -> list[Box]:
    """Return the top-level boxes, up to other data that cameras may append.

    Raises ValueError or struct.error if a box that the picture needs extends past the end.
    """
    every: list[Box] = []
    try:
        # Keeps the boxes before an error.
        every.extend(boxes(data, 0, len(data), counter))
    except (ValueError, error):
        at = every[-1].end if every else 0
        if data[at + 4 : at + 8] in PICTURE:
            raise
    return every


def within(
    data: bytes, every: Sequence[Box], path: Sequence[bytes], counter: ChunkCounter
) -> list[Box]:
    """Return the boxes inside the first box at ``path``, a sequence of nested names."""
    for name in path:
        first = [box for box in every if box.name == name][:1]
        every = [part for box in first for part in boxes(data, box.start, box.end, counter)]
    return list(every)
