"""Builds TIFFs with arbitrary tags."""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

SIDE = 8


def directory(
    pixel: Sequence[int],
    *,
    bits: int = 8,
    photometric: int,
    compression: int = 1,
    extras: Sequence[int] = (),
    size: int = SIDE,
    subfile: int | None = None,
    make: bytes | None = None,
    inks: int | None = None,
    planes: int | None = None,
    subsampling: Sequence[int] = (),
) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Return the tags (number, kind, values) and the pixels of a square of one colour."""
    samples = len(pixel)
    letter = "B" if bits == 8 else "H"
    scale = 1 if bits == 8 else 257
    one = struct.pack(f"<{samples}{letter}", *(scale * value for value in pixel))
    pixels = one * size * size
    tags = [
        (256, 4, struct.pack("<I", size)),
        (257, 4, struct.pack("<I", size)),
        (258, 3, struct.pack(f"<{samples}H", *[bits] * samples)),
        (259, 3, struct.pack("<H", compression)),
        (262, 3, struct.pack("<H", photometric)),
        (277, 3, struct.pack("<H", samples)),
        (278, 4, struct.pack("<I", size)),
        (279, 4, struct.pack("<I", len(pixels))),
    ]
    if subfile is not None:
        tags.append((254, 4, struct.pack("<I", subfile)))
    if make is not None:
        tags.append((271, 2, make + b"\0"))
    if inks is not None:
        tags.append((332, 3, struct.pack("<H", inks)))
    if planes is not None:
        tags.append((284, 3, struct.pack("<H", planes)))
    if subsampling:
        tags.append((530, 3, struct.pack("<2H", *subsampling)))
    if extras:
        tags.append((338, 3, struct.pack(f"<{len(extras)}H", *extras)))
    return tags, pixels


def chained(directories: Sequence[tuple[list[tuple[int, int, bytes]], bytes]]) -> bytes:
    """Return a TIFF with these directories in sequence."""
    data = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for tags, pixels in directories:
        place = len(data)
        data += pixels + bytes(len(pixels) & 1)
        entries = []
        for tag, kind, values in sorted([*tags, (273, 4, struct.pack("<I", place))]):
            count = len(values) // {2: 1, 3: 2, 4: 4}[kind]
            inside = values.ljust(4, b"\0")
            if len(values) > 4:
                inside = struct.pack("<I", len(data))
                data += values + bytes(len(values) & 1)
            entries.append(struct.pack("<HHI", tag, kind, count) + inside)
        struct.pack_into("<I", data, link, len(data))
        data += struct.pack("<H", len(entries)) + b"".join(entries)
        link = len(data)
        data += bytes(4)
    return bytes(data)


def tiff(pixel: Sequence[int], **options: object) -> bytes:
    """Return a TIFF of a square of one colour; ``options`` are those of `directory`."""
    return chained([directory(pixel, **options)])  # type: ignore[arg-type]


def packed(
    order: str,
    strip: bytes,
    *,
    photometric: int,
    bits: int = 8,
    compression: int = 1,
    more: Mapping[int, list[int]] = MappingProxyType({}),
    big: bool = False,
) -> bytes:
    """Return a TIFF, or BigTIFF, in the byte ``order`` of `struct`, with one sample per pixel.

    ``strip`` is its only strip, as stored; ``more`` has the 16-bit values of further tags.
    """
    word, count, head = ("Q", "Q", 16) if big else ("I", "H", 8)
    shorts = {256: [SIDE], 257: [SIDE], 258: [bits], 259: [compression], 262: [photometric]}
    shorts |= {277: [1], 278: [SIDE], 279: [len(strip)], **more}
    data = bytearray(strip + bytes(len(strip) & 1))
    entries = {273: struct.pack(f"{order}HH{word}{word}", 273, 16 if big else 4, 1, head)}
    for tag, values in shorts.items():
        body = struct.pack(f"{order}{len(values)}H", *values)
        inside = body.ljust(struct.calcsize(word), b"\0")
        if len(inside) > struct.calcsize(word):
            inside = struct.pack(order + word, head + len(data))
            data += body
        entries[tag] = struct.pack(f"{order}HH{word}", tag, 3, len(values)) + inside
    mark = {"<": b"II", ">": b"MM"}[order]
    first = struct.pack(
        order + ("HHHQ" if big else "HI"), *((43, 8, 0) if big else (42,)), head + len(data)
    )
    return b"".join(
        [
            mark + first,
            data,
            struct.pack(order + count, len(entries)),
            *(entries[tag] for tag in sorted(entries)),
            bytes(8),
        ]
    )
