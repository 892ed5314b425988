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


def full(name: bytes, *parts: bytes, version: int = 0) -> bytes:
    """Return a box with a version and no flags."""
    return box(name, struct.pack(">I", version << 24) + b"".join(parts))


def composed(
    kind: bytes, description: bytes, size: tuple[int, int], tile: bytes, *, tiles: int, padded: int
) -> bytes:
    """Return an AVIF whose primary item composes ``tiles`` copies of ``tile``, a square AVIF.

    ``padded`` bytes at the end of the last copy are zeros.
    """
    (place, length) = struct.unpack_from(">II", tile, tile.index(b"iloc") + 18)
    coded = tile[place : place + length]
    settings = tile.index(b"av1C") - 4
    (room,) = struct.unpack_from(">I", tile, settings)
    shown = tile.index(b"ispe") + 8
    properties = [
        full(b"ispe", struct.pack(">II", *size)),
        full(b"ispe", tile[shown : shown + 8]),
        tile[settings : settings + room],
    ]
    bodies = [description, *[coded] * (tiles - 1), coded[: len(coded) - padded] + bytes(padded)]
    links = struct.pack(">HBB", 1, 1, 1)
    links += b"".join(struct.pack(">HBBB", n, 2, 2, 0x83) for n in range(2, tiles + 2))
    items = [
        full(b"infe", struct.pack(">HH", n, 0), kind if n == 1 else b"av01", b"\0", version=2)
        for n in range(1, tiles + 2)
    ]
    needs = struct.pack(f">HH{tiles}H", 1, tiles, *range(2, tiles + 2))

    def meta(at: int) -> bytes:
        places = b""
        for number, body in enumerate(bodies, 1):
            places += struct.pack(">HHHII", number, 0, 1, at, len(body))
            at += len(body)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", 1)),
            full(b"iloc", struct.pack(">BBH", 0x44, 0, len(bodies)), places),
            full(b"iinf", struct.pack(">H", len(items)), *items),
            full(b"iref", box(b"dimg", needs)),
            box(
                b"iprp",
                box(b"ipco", b"".join(properties))
                + full(b"ipma", struct.pack(">I", len(items)), links),
            ),
        )

    head = box(b"ftyp", b"avif" + bytes(4) + b"mif1avifmiaf")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", b"".join(bodies))


def grid(tile: bytes, *, padded: int) -> bytes:
    """Return an AVIF of two times two copies of ``tile``, an AVIF of 128 pixels a side."""
    description = struct.pack(">BBBBHH", 0, 0, 1, 1, 256, 256)
    return composed(b"grid", description, (256, 256), tile, tiles=4, padded=padded)
