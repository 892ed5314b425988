"""Extracts the first picture of HEIF and AVIF sequences that have no primary picture."""

import struct
from collections.abc import Sequence
from struct import unpack_from
from typing import NamedTuple

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import colour
from app.services.images.formats.boxes import Box, boxes, outermost, within
from app.services.images.formats.layout import ChunkCounter, Layout

SAMPLES = (b"mdia", b"minf", b"stbl")
ENTRY = 78
"""Size in bytes of a visual sample entry before its boxes."""
KINDS = {b"hvc1": (b"hvc1", b"hvcC"), b"hev1": (b"hvc1", b"hvcC"), b"av01": (b"av01", b"av1C")}
"""Item kind and decoder configuration box by kind of sample."""
TURNS = {(1, 0, 0, 1): 1, (0, 1, -1, 0): 6, (-1, 0, 0, -1): 3, (0, -1, 1, 0): 8}
"""EXIF orientations by a track's matrix."""


class Track(NamedTuple):
    """The first track with pictures."""

    parts: list[Box]
    table: list[Box]
    """The boxes that locate its samples."""
    entry: Box
    """The sample entry that describes the coding; its name is the kind of sample."""


def is_alone(top: Sequence[Box]) -> bool:
    """Return whether a file has a sequence but no separate picture."""
    names = {box.name for box in top}
    return b"moov" in names and b"meta" not in names


def read(data: bytes, top: Sequence[Box], counter: ChunkCounter) -> Layout:
    """Return the layout of the first picture."""
    track = _track(data, top, counter)
    width, height = unpack_from(">HH", data, track.entry.start + 24)
    numbers = [unpack_from(">H", data, box.start + 6)[0] for box in _numbers(data, track, counter)]
    sizes = [box for box in track.table if box.name == b"stsz"]
    return Layout(
        width,
        height,
        orientation=_orientation(data, track.parts),
        frames=max(1, unpack_from(">I", data, sizes[0].start + 8)[0]) if sizes else 1,
        hdr=bool(numbers) and numbers[0] in colour.HDR,
    )


def properties(data: bytes, top: Sequence[Box], counter: ChunkCounter) -> list[Box]:
    """Return the boxes that describe the coding of the pictures."""
    entry = _track(data, top, counter).entry
    return list(boxes(data, entry.start + ENTRY, entry.end, counter))


def first_picture(data: bytes, limits: ImageLimits) -> bytes:
    """Return a file with only the first picture, or ``data`` if it is not a bare sequence."""
    counter = ChunkCounter(limits)
    top = outermost(data, counter)
    if not is_alone(top):
        return data
    track = _track(data, top, counter)
    kind, configuration = KINDS[track.entry.name]
    described = properties(data, top, counter)
    kept = [data[b.start - 8 : b.end] for b in described if b.name in {configuration, b"colr"}]
    width, height = unpack_from(">HH", data, track.entry.start + 24)
    kept.append(_full(b"ispe", struct.pack(">II", width, height)))
    at, size = _place(data, track.table)
    sample = data[at : at + size]
    if not sample or len(sample) != size:
        raise ImageDamagedError("The sequence's first picture is missing.")
    return _still(kind, kept, sample)


def _track(data: bytes, top: Sequence[Box], counter: ChunkCounter) -> Track:
    for trak in within(data, top, [b"moov"], counter):
        if trak.name == b"trak":
            parts = list(boxes(data, trak.start, trak.end, counter))
            table = within(data, parts, SAMPLES, counter)
            for described in (box for box in table if box.name == b"stsd"):
                for entry in boxes(data, described.start + 8, described.end, counter):
                    if entry.name in KINDS:
                        return Track(parts, table, entry)
    raise UnsupportedImageTypeError(
        "This is a HEIF sequence without pictures in HEVC or AV1, which is not accepted."
    )


def _numbers(data: bytes, track: Track, counter: ChunkCounter) -> list[Box]:
    described = boxes(data, track.entry.start + ENTRY, track.entry.end, counter)
    return [b for b in described if b.name == b"colr" and data.startswith(b"nclx", b.start)]


def _orientation(data: bytes, parts: Sequence[Box]) -> int:
    for box in parts:
        if box.name == b"tkhd":
            at = box.start + (52 if data[box.start] else 40)
            a, b, _, c, d = unpack_from(">5i", data, at)
            return TURNS.get((a >> 16, b >> 16, c >> 16, d >> 16), 1)
    return 1


def _place(data: bytes, table: Sequence[Box]) -> tuple[int, int]:
    """Return the offset of the first sample and its size in bytes."""
    at = size = 0
    for box in table:
        if box.name == b"stsz":
            (size,) = unpack_from(">I", data, box.start + 4)
            if not size:
                (size,) = unpack_from(">I", data, box.start + 12)
        elif box.name == b"stco":
            (at,) = unpack_from(">I", data, box.start + 8)
        elif box.name == b"co64":
            (at,) = unpack_from(">Q", data, box.start + 8)
    return at, size


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _full(name: bytes, *parts: bytes, version: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24), *parts)


def _still(kind: bytes, described: Sequence[bytes], sample: bytes) -> bytes:
    brand = b"heic" if kind == b"hvc1" else b"avif"
    head = _box(b"ftyp", brand, bytes(4), b"mif1", brand)
    numbers = bytes(range(1, len(described) + 1))
    links = struct.pack(">IHB", 1, 1, len(numbers)) + numbers

    def meta(at: int) -> bytes:
        place = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, at, len(sample))
        item = _full(b"infe", struct.pack(">HH", 1, 0), kind, b"\0", version=2)
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4), b"pict", bytes(13)),
            _full(b"pitm", struct.pack(">H", 1)),
            _full(b"iloc", place),
            _full(b"iinf", struct.pack(">H", 1), item),
            _box(b"iprp", _box(b"ipco", *described), _full(b"ipma", links)),
        )

    at = len(head) + len(meta(0)) + 8
    return head + meta(at) + _box(b"mdat", sample)
