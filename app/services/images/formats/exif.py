"""Reads EXIF's orientation and the TIFF directories in which EXIF is stored."""

import struct
from collections.abc import Iterator, Mapping
from struct import unpack_from
from typing import NamedTuple

ORIENTATION = 0x0112
MAX_ENTRIES = 1_024
"""Maximum entries of a directory; cameras write fewer than a hundred."""
_INTEGERS: Mapping[int, tuple[str, int]] = {
    1: ("B", 1),
    3: ("H", 2),
    4: ("I", 4),
    13: ("I", 4),
    16: ("Q", 8),
    18: ("Q", 8),
}
"""TIFF field types of unsigned integers, with the struct format and size of a value."""
_SIZES: Mapping[int, int] = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Size in bytes of a value of each field type."""


class Dialect(NamedTuple):
    """The byte order and word size of a TIFF file."""

    order: str
    first: int
    """Offset of the first directory."""
    big: bool

    @property
    def entry(self) -> int:
        """Return the size of a directory entry in bytes."""
        return 20 if self.big else 12


class Entry(NamedTuple):
    """One directory entry, which begins at offset ``at``."""

    tag: int
    kind: int
    length: int
    at: int

    def first(self, data: bytes, form: Dialect) -> int:
        """Return the first of the entry's integers, or 0 if it has none."""
        values = self.values(data, form, 1)
        return values[0] if values else 0

    def values(self, data: bytes, form: Dialect, most: int) -> tuple[int, ...]:
        """Return at most ``most`` of the entry's integers; empty if they would be past the end."""
        letter, size = _INTEGERS.get(self.kind, ("B", 0))
        count = min(self.length, most)
        body = self.raw(data, form, count * size)
        if not size or len(body) < count * size:
            return ()
        return unpack_from(f"{form.order}{count}{letter}", body)

    def raw(self, data: bytes, form: Dialect, most: int) -> bytes:
        """Return at most ``most`` bytes of the entry's values."""
        word, room = ("Q", 8) if form.big else ("I", 4)
        place = self.at + 4 + room
        if self.length * _SIZES.get(self.kind, 1) > room:
            # Several values are stored elsewhere, at the offset in the entry.
            (place,) = unpack_from(form.order + word, data, place)
        return data[place : place + most]


def entries(data: bytes, form: Dialect, at: int, most: int = MAX_ENTRIES) -> Iterator[Entry]:
    """Yield the first ``most`` entries of the directory at ``at``; may raise struct.error."""
    first, count, size = _entries(data, form, at)
    word = "Q" if form.big else "I"
    for place in range(first, first + min(count, most) * size, size):
        tag, kind, length = unpack_from(form.order + "HH" + word, data, place)
        yield Entry(tag, kind, length, place)


def dialect(data: bytes) -> Dialect:
    """Read the TIFF header at the start of ``data``, or raise ValueError if there is none."""
    orders = {b"II": "<", b"MM": ">"}
    if data[:2] not in orders:
        raise ValueError("no TIFF byte order")
    order = orders[data[:2]]
    (version,) = unpack_from(order + "H", data, 2)
    if version == 43:
        return Dialect(order, unpack_from(order + "Q", data, 8)[0], big=True)
    return Dialect(order, unpack_from(order + "I", data, 4)[0], big=False)


def directory(data: bytes, form: Dialect, at: int) -> dict[int, int]:
    """Return the first value of each integer tag in the directory at offset ``at``.

    Tags whose values would be past the end are left out. Raises struct.error if the directory
    itself extends past the end, and ValueError if it is too long.
    """
    first, count, entry_size = _entries(data, form, at)
    if count > MAX_ENTRIES:
        raise ValueError("too many directory entries")
    values: dict[int, int] = {}
    word, room = ("Q", 8) if form.big else ("I", 4)
    for entry in range(first, first + count * entry_size, entry_size):
        tag, kind, length = unpack_from(form.order + "HH" + word, data, entry)
        if kind in _INTEGERS:
            letter, size = _INTEGERS[kind]
            place = entry + 4 + room
            if length * size > room:
                # Several values are stored elsewhere, at the offset in the entry.
                (place,) = unpack_from(form.order + word, data, place)
            if place + size <= len(data):
                values.setdefault(tag, unpack_from(form.order + letter, data, place)[0])
    return values


def following(data: bytes, form: Dialect, at: int) -> int:
    """Return the offset of the directory after the one at ``at``, or 0 at the end."""
    first, count, entry_size = _entries(data, form, at)
    word = "Q" if form.big else "I"
    return int(unpack_from(form.order + word, data, first + count * entry_size)[0])


def _entries(data: bytes, form: Dialect, at: int) -> tuple[int, int, int]:
    """Return the offset of a directory's first entry, the number of entries and their size."""
    if form.big:
        return at + 8, unpack_from(form.order + "Q", data, at)[0], 20
    return at + 2, unpack_from(form.order + "H", data, at)[0], 12


def orientation(block: bytes) -> int:
    """Return the orientation of an EXIF block, 1 to 8, or 1 if it can't be read."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        form = dialect(block)
        value = directory(block, form, form.first).get(ORIENTATION, 1)
    except (ValueError, OverflowError, IndexError, struct.error):
        # Cameras and editors often write broken EXIF, but the picture is still good.
        return 1
    return value if 1 <= value <= 8 else 1
