"""HEIC and AVIF: the header read, out of the boxes of ISO 14496-12 and 23008-12."""

from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError
from app.domain.image import ImageLimits
from app.services.images.formats.layout import ChunkCounter, Layout

TURNED = {0: 1, 1: 8, 2: 3, 3: 6}
"""EXIF orientation by quarter turns anticlockwise, as ``irot`` counts them."""
MIRRORED = {0: 4, 1: 2}
"""EXIF orientation by ``imir``'s axis: 0 turns it upside down, 1 swaps left and right."""


class Box(NamedTuple):
    """One box: its four-letter name and where its body lies."""

    name: bytes
    start: int
    end: int


def _boxes(data: bytes, start: int, end: int, counter: ChunkCounter) -> Iterator[Box]:
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


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the primary picture; turning is told as the EXIF orientation it equals."""
    counter = ChunkCounter(limits)
    top = list(_boxes(data, 0, len(data), counter))
    meta = _first(top, b"meta")
    inner = list(_boxes(data, meta.start + 4, meta.end, counter))
    primary = _primary(data, _first(inner, b"pitm"))
    properties = list(_boxes(data, *_first(inner, b"iprp")[1:], counter))
    table = list(_boxes(data, *_first(properties, b"ipco")[1:], counter))
    own = [
        table[index - 1]
        for box in properties
        if box.name == b"ipma"
        for index in _associations(data, box, primary, counter)
        if 0 < index <= len(table)
    ]
    # Pictures of a grid or a thumbnail may be larger than the primary one says: bound them all.
    sizes = [unpack_from(">II", data, box.start + 4) for box in table if box.name == b"ispe"]
    primary_size = [unpack_from(">II", data, box.start + 4) for box in own if box.name == b"ispe"]
    if not primary_size:
        raise ImageDamagedError("The file's primary picture has no size.")
    width, height = _cropped(data, own, *primary_size[0])
    if max(w * h for w, h in sizes) > max(width * height, limits.max_pixels):
        width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Layout(
        width,
        height,
        orientation=_orientation(data, own),
        frames=_frames(data, top, counter),
        largest_metadata=max((b.end - b.start for b in table if b.name == b"colr"), default=0),
    )


def _frames(data: bytes, boxes: list[Box], counter: ChunkCounter) -> int:
    """How many frames the file's first track has; 1 where there is none."""
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        inside = [box for box in boxes if box.name == name][:1]
        boxes = [part for box in inside for part in _boxes(data, box.start, box.end, counter)]
    sizes = [box for box in boxes if box.name == b"stsz"]
    return max(1, unpack_from(">I", data, sizes[0].start + 8)[0]) if sizes else 1


def _first(boxes: list[Box], name: bytes) -> Box:
    for box in boxes:
        if box.name == name:
            return box
    raise ImageDamagedError(f"The file has no `{name.decode()}` box: it is damaged or cut off.")


def _primary(data: bytes, box: Box) -> int:
    """The number of the primary item."""
    wide = data[box.start] > 0
    return int(unpack_from(">I" if wide else ">H", data, box.start + 4)[0])


def _associations(data: bytes, box: Box, item: int, counter: ChunkCounter) -> list[int]:
    """The positions, from 1, of the item's properties in the property table."""
    version, wide = data[box.start], data[box.start + 3] & 1
    (entries,) = unpack_from(">I", data, box.start + 4)
    at = box.start + 8
    for _ in range(entries):
        counter.step()
        (name,) = unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        count, step = data[at], 2 if wide else 1
        found = data[at + 1 : at + 1 + count * step]
        at += 1 + count * step
        if name == item:
            mask = 0x7FFF if wide else 0x7F
            return [
                int.from_bytes(found[n : n + step], "big") & mask
                for n in range(0, len(found), step)
            ]
    return []


def _cropped(data: bytes, own: list[Box], width: int, height: int) -> tuple[int, int]:
    """The size that a ``clap`` box leaves of a picture stored in whole coding blocks."""
    for box in own:
        if box.name == b"clap":
            across, across_by, down, down_by = unpack_from(">4I", data, box.start)
            return min(width, across // max(across_by, 1)), min(height, down // max(down_by, 1))
    return width, height


def _orientation(data: bytes, own: list[Box]) -> int:
    turned = [TURNED[data[box.start] & 3] for box in own if box.name == b"irot"]
    mirrored = [MIRRORED[data[box.start] & 1] for box in own if box.name == b"imir"]
    if mirrored and turned and turned[0] in {6, 8}:
        return 5 if (mirrored[0] == 2) == (turned[0] == 6) else 7
    if mirrored and turned == [3]:
        return 6 - mirrored[0]
    return (mirrored or turned or [1])[0]
