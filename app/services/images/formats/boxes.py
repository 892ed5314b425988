"""The boxes that HEIF, AVIF and MP4 files are made of (ISO 14496-12)."""

from collections.abc import Iterator, Sequence
from struct import error, unpack_from
from typing import NamedTuple

from app.services.images.formats.layout import ChunkCounter

PICTURE = frozenset({b"ftyp", b"meta", b"moov", b"mdat"})
"""The outermost boxes that a picture is read from."""


class Box(NamedTuple):
    """One box: its four-letter name and where its body lies."""

    name: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int, counter: ChunkCounter) -> Iterator[Box]:
    """Yield the boxes between two offsets; ValueError where one reaches past the end."""
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
            # Decoders fill in what is missing of a file cut off; the caller should know instead.
            raise ValueError("a box is smaller than its header or reaches past its end")
        yield Box(name, at + head, stop)
        at = stop


def outermost(data: bytes, counter: ChunkCounter) -> list[Box]:
    """The boxes that the file is made of, up to what is none: cameras append much behind them.

    ValueError or struct.error where one that the picture is read from reaches past the end.
    """
    every: list[Box] = []
    try:
        # Keeps what came before an error.
        every.extend(boxes(data, 0, len(data), counter))
    except (ValueError, error):
        at = every[-1].end if every else 0
        if data[at + 4 : at + 8] in PICTURE:
            raise
    return every


def within(
    data: bytes, every: Sequence[Box], path: Sequence[bytes], counter: ChunkCounter
) -> list[Box]:
    """The boxes inside the first box of each name in ``path``, one in the other."""
    for name in path:
        first = [box for box in every if box.name == name][:1]
        every = [part for box in first for part in boxes(data, box.start, box.end, counter)]
    return list(every)
