"""Splits JPEGs into their segments and joins them again."""

import struct
from collections.abc import Sequence

from PIL import Image

from fixtures.images import encoded

SOI, EOI, SOS = b"\xff\xd8", 0xD9, 0xDA
JFIF, ADOBE, DQT, DHT, SOF = 0xE0, 0xEE, 0xDB, 0xC4, 0xC0

Segment = tuple[int, bytes, bytes]
"""Marker, payload, and the data that follows where it is a scan."""


def joined(segments: Sequence[Segment]) -> bytes:
    """Return a JPEG with these segments."""
    return SOI + b"".join(
        bytes([0xFF, marker])
        + (b"" if marker == EOI else struct.pack(">H", len(body) + 2) + body)
        + scan
        for marker, body, scan in segments
    )


def segments(data: bytes) -> list[Segment]:
    """Split a JPEG into its segments, without SOI; a scan's data belongs to its header."""
    at, segments = 2, list[Segment]()
    while at < len(data):
        marker = data[at + 1]
        if marker == EOI:
            return [*segments, (marker, b"", b"")]
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body, at = data[at + 4 : at + 2 + size], at + 2 + size
        start = at
        while marker == SOS and not (
            data[at] == 0xFF and data[at + 1] not in {0, *range(0xD0, 0xD8)}
        ):
            at += 1
        segments.append((marker, body, data[start:at]))
    return segments


def with_scans_apart(picture: Image.Image, scans: int = 3) -> bytes:
    """Return a baseline JPEG with one scan per colour, of which the first ``scans`` are kept."""
    planes = picture.convert("YCbCr").split()
    parts = [segments(encoded(plane, "JPEG", quality=95)) for plane in planes]
    colours = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    frame = struct.pack(">BHHB", 8, picture.height, picture.width, 3) + colours
    tables = [segment for segment in parts[0] if segment[0] in {DQT, DHT}]
    drawn = [
        (
            SOS,
            bytes([1, number, 0, 0, 63, 0]),
            next(scan for marker, _, scan in part if marker == SOS),
        )
        for number, part in enumerate(parts[:scans], 1)
    ]
    return joined([*tables, (SOF, frame, b""), *drawn, (EOI, b"", b"")])
