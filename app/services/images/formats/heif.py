"""Reads HEIC and AVIF headers from the boxes of ISO 14496-12 and 23008-12."""

from collections.abc import Iterator, Mapping
from struct import unpack_from
from types import MappingProxyType
from typing import NamedTuple

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import colour
from app.services.images.formats import heif_sequence as sequence
from app.services.images.formats.boxes import Box, boxes, outermost, within
from app.services.images.formats.layout import ChunkCounter, Layout

TURNED = {0: 1, 1: 8, 2: 3, 3: 6}
"""EXIF orientations by ``irot``'s anticlockwise quarter turns."""
MIRRORED = {0: 4, 1: 2}
"""EXIF orientations by ``imir``'s axis: 0 flips vertically, 1 horizontally."""


class Primary(NamedTuple):
    """The properties of the picture to show."""

    own: list[Box]
    """The item's own properties."""
    table: list[Box]
    """The properties of all items, including tiles and thumbnails."""
    top: list[Box]
    kind: bytes | None
    """The kind of the item; None if the file doesn't tell."""


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of the primary picture, with rotation as an EXIF orientation.

    For a sequence without a primary picture it is the first picture's layout.
    """
    counter = ChunkCounter(limits)
    top = outermost(data, counter)
    if sequence.is_alone(top):
        return sequence.read(data, top, counter)
    primary = _primary_of(data, top, counter)
    own, table = primary.own, primary.table
    # Grid pictures and thumbnails may be larger than the primary one claims, so all are bounded.
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
        hdr=is_hdr(data, own),
    )


def _primary_of(data: bytes, top: list[Box], counter: ChunkCounter) -> Primary:
    meta = _first(top, b"meta")
    inner = list(boxes(data, meta.start + 4, meta.end, counter))
    number = primary_item(data, _first(inner, b"pitm"))
    kind = _checked_kind(data, inner, number, counter)
    properties = list(boxes(data, *_first(inner, b"iprp")[1:], counter))
    table = list(boxes(data, *_first(properties, b"ipco")[1:], counter))
    own = [
        table[index - 1]
        for box in properties
        if box.name == b"ipma"
        for index in _associations(data, box, number, counter)
        if 0 < index <= len(table)
    ]
    return Primary(own, table, top, kind)


OVERLAYS = frozenset({b"iden", b"iovl"})
DERIVED = OVERLAYS | {b"grid"}
"""Kinds of items that are composed of others."""
HEVC, AV1 = b"hvc1", b"av01"
CODED = frozenset({HEVC, AV1})
FOREIGN_KINDS: Mapping[bytes, str] = MappingProxyType(
    {
        b"unci": "an uncompressed HEIF picture",
        b"jpeg": "a HEIF picture coded as JPEG",
        b"j2k1": "a HEIF picture coded as JPEG 2000",
        b"avc1": "a HEIF picture coded as AVC (H.264)",
        b"vvc1": "a HEIF picture coded as VVC (H.266)",
        b"evc1": "a HEIF picture coded as EVC",
        b"lhv1": "a HEIF picture coded as layered HEVC",
    }
)


def _checked_kind(
    data: bytes, inner: list[Box], number: int, counter: ChunkCounter
) -> bytes | None:
    """Return the primary item's kind, or raise UnsupportedImageTypeError for other codings."""
    every = dict(kinds(data, inner, counter))
    kind = own = every.get(number)
    if kind in DERIVED and not CODED.intersection(every.values()):
        kind = next((each for each in every.values() if each in FOREIGN_KINDS), kind)
    if kind is not None and kind in FOREIGN_KINDS:
        raise UnsupportedImageTypeError(
            f"This is {FOREIGN_KINDS[kind]}, which is not accepted; only HEVC and AV1 are."
        )
    return own


def kinds(data: bytes, inner: list[Box], counter: ChunkCounter) -> Iterator[tuple[int, bytes]]:
    """Yield the number and kind of each item."""
    for table in inner:
        if table.name == b"iinf":
            start = table.start + (8 if data[table.start] else 6)
            for box in boxes(data, start, table.end, counter):
                if box.name == b"infe" and data[box.start] in {2, 3}:
                    wide = data[box.start] == 3
                    number = unpack_from(">I" if wide else ">H", data, box.start + 4)[0]
                    at = box.start + (10 if wide else 8)
                    yield number, data[at : at + 4]


def is_hdr(data: bytes, properties: list[Box]) -> bool:
    """Return whether a picture's properties declare PQ or HLG."""
    numbers = _numbers(data, properties)
    return numbers is not None and numbers[1] in colour.HDR


def _numbers(data: bytes, properties: list[Box]) -> tuple[int, int] | None:
    """Return the H.273 colour primaries and transfer characteristics that count, or None."""
    kinds = [(data[box.start : box.start + 4], box) for box in properties if box.name == b"colr"]
    for kind, box in kinds:
        # The decoder attaches an ICC profile, which describes the colours more precisely.
        if kind == b"nclx" and not {b"prof", b"rICC"}.intersection(dict(kinds)):
            primaries, transfer = unpack_from(">HH", data, box.start + 4)
            return primaries, transfer
    return None


class Storage(NamedTuple):
    """The properties of a picture that a decoder needs beside its bytes."""

    profile: bytes | None
    """The ICC profile of the declared colour numbers; None for sRGB."""
    deep: bool
    """Whether samples have more than 8 bits."""
    cropped: bool
    """Whether the picture is only a part of the stored pixels."""
    overlaid: bool
    """Whether the picture is a copy of another or several laid over each other."""


def storage(data: bytes, limits: ImageLimits) -> Storage:
    """Return the storage properties of the primary picture."""
    counter = ChunkCounter(limits)
    top = outermost(data, counter)
    if sequence.is_alone(top):
        own = table = sequence.properties(data, top, counter)
        kind = None
    else:
        own, table, _, kind = _primary_of(data, top, counter)
    numbers = _numbers(data, own)
    sizes = [unpack_from(">II", data, box.start + 4) for box in own if box.name == b"ispe"]
    cropped = bool(sizes) and _cropped(data, own, *sizes[0]) != sizes[0]
    deep = any(box.name == b"av1C" and data[box.start + 2] & 0x40 for box in table)
    profile = colour.coded(*numbers) if numbers else None
    return Storage(profile, deep, cropped, kind in OVERLAYS)


def _frames(data: bytes, top: list[Box], counter: ChunkCounter) -> int:
    """Return the number of frames in the file's first track, or 1 if there is no track."""
    table = within(data, top, (b"moov", b"trak", *sequence.SAMPLES), counter)
    sizes = [box for box in table if box.name == b"stsz"]
    return max(1, unpack_from(">I", data, sizes[0].start + 8)[0]) if sizes else 1


def _first(boxes: list[Box], name: bytes) -> Box:
    for box in boxes:
        if box.name == name:
            return box
    raise ImageDamagedError(f"The file has no `{name.decode()}` box: it is damaged or cut off.")


def primary_item(data: bytes, box: Box) -> int:
    """Return the number of the primary item, from the body of a ``pitm`` box."""
    wide = data[box.start] > 0
    return int(unpack_from(">I" if wide else ">H", data, box.start + 4)[0])


def _associations(data: bytes, box: Box, item: int, counter: ChunkCounter) -> list[int]:
    """Return the positions, from 1, of the item's properties in the property table."""
    version, wide = data[box.start], data[box.start + 3] & 1
    (entries,) = unpack_from(">I", data, box.start + 4)
    at = box.start + 8
    for _ in range(entries):
        counter.step()
        (name,) = unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        count, step = data[at], 2 if wide else 1
        indexes = data[at + 1 : at + 1 + count * step]
        at += 1 + count * step
        if name == item:
            mask = 0x7FFF if wide else 0x7F
            return [
                int.from_bytes(indexes[n : n + step], "big") & mask
                for n in range(0, len(indexes), step)
            ]
    return []


def _cropped(data: bytes, own: list[Box], width: int, height: int) -> tuple[int, int]:
    """Return the size of a picture after cropping by a ``clap`` box."""
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
