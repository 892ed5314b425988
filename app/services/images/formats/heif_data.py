"""Locates the coded data of a HEIC's or AVIF's primary picture and checks that it is complete."""

from collections.abc import Iterator, Sequence
from struct import unpack_from

from app.domain.image import ImageLimits
from app.services.images.formats import padding
from app.services.images.formats.boxes import Box, boxes, outermost
from app.services.images.formats.heif import CODED, HEVC, kinds, primary_item
from app.services.images.formats.layout import ChunkCounter

NEVER = bytes(8)
"""Zeros that HEVC data can't contain, as its emulation prevention breaks up any three."""


def share_written(data: bytes, limits: ImageLimits) -> float:
    """Return the share of the primary picture's coded bytes, 0 to 1, before padding or the end.

    Interrupted downloads are padded with zeros or other bytes, which decoders would draw.
    """
    counter = ChunkCounter(limits)
    meta = next(box for box in outermost(data, counter) if box.name == b"meta")
    inner = list(boxes(data, meta.start + 4, meta.end, counter))
    needed = _needed(data, inner, counter)
    coding = dict(kinds(data, inner, counter))
    coded, written = 0, 0
    for item, start, length in _extents(data, inner, counter):
        # Items that only describe how others are composed may contain anything.
        if item in needed and coding.get(item) in CODED:
            first = data.find(NEVER, start, start + length) if coding[item] == HEVC else -1
            end = start + length if first < 0 else first
            coded += length
            written += max(0, min(padding.start(data, start, min(end, len(data))) - start, length))
    return written / coded if coded else 1.0


def _needed(data: bytes, inner: Sequence[Box], counter: ChunkCounter) -> set[int]:
    """Return the numbers of the primary item and of the items that it is composed of."""
    needed = {primary_item(data, box) for box in inner if box.name == b"pitm"}
    for box in inner:
        if box.name == b"iref":
            letter, size = ("I", 4) if data[box.start] else ("H", 2)
            for link in boxes(data, box.start + 4, box.end, counter):
                source, count = unpack_from(f">{letter}H", data, link.start)
                if link.name == b"dimg" and source in needed:
                    needed.update(unpack_from(f">{count}{letter}", data, link.start + size + 2))
    return needed


class _Numbers:
    """Reads consecutive numbers of any width."""

    def __init__(self, data: bytes, at: int) -> None:
        """Start reading at offset ``at``."""
        self._data, self._at = data, at

    def take(self, size: int) -> int:
        """Return the next ``size`` bytes as a number; 0 for none."""
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")


def _extents(
    data: bytes, inner: Sequence[Box], counter: ChunkCounter
) -> Iterator[tuple[int, int, int]]:
    """Yield the item number, start and length of each extent stored in the file itself."""
    for box in inner:
        if box.name != b"iloc":
            continue
        version, numbers = data[box.start], _Numbers(data, box.start + 4)
        sizes, wide = numbers.take(2), 4 if version == 2 else 2
        for _ in range(numbers.take(wide)):
            item, method = numbers.take(wide), numbers.take(2 if version else 0) & 15
            elsewhere, base = numbers.take(2), numbers.take(sizes >> 4 & 15)
            for _ in range(numbers.take(2)):
                counter.step()
                numbers.take(sizes & 15 if version else 0)
                start, length = numbers.take(sizes >> 12), numbers.take(sizes >> 8 & 15)
                if not method and not elsewhere:
                    yield item, base + start, length
