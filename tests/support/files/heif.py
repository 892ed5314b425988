"""Adds properties to AVIF files that Pillow wrote."""

import struct


def box(name: bytes, body: bytes) -> bytes:
    """Return a box."""
    return struct.pack(">I4s", 8 + len(body), name) + body


def with_property(data: bytes, described: bytes) -> bytes:
    """Return ``data`` with one more property, given as its box, of the first item."""
    table = data.index(b"ipco") - 4
    (size,) = struct.unpack_from(">I", data, table)
    at, count = table + 8, 1
    while at < table + size:
        at += struct.unpack_from(">I", data, at)[0]
        count += 1
    links = data.index(b"ipma") + 4
    entry = links + 8  # after version and flags, and the number of entries
    last = entry + 3 + data[entry + 2]
    longer = bytearray(data)
    longer[entry + 2] += 1
    longer[last:last] = bytes([0x80 | count])
    longer[at:at] = described
    more = len(described) + 1
    for name, by in ((b"ipma", 1), (b"ipco", len(described)), (b"iprp", more), (b"meta", more)):
        place = longer.index(name) - 4
        struct.pack_into(">I", longer, place, struct.unpack_from(">I", longer, place)[0] + by)
    _move(longer, more)
    return bytes(longer)


def _move(data: bytearray, by: int) -> None:
    """Correct the position of the only item."""
    table = data.index(b"iloc") + 4
    assert data[table : table + 8] == b"\0\0\0\0\x44\0\0\1", "one item, whose place has four bytes"
    place = table + 8 + 2 + 2 + 2
    struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + by)
