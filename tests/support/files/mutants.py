"""PNGs and JPEGs with a mutated structure and valid checksums."""

import struct
import zlib
from io import BytesIO
from random import Random

from PIL import PngImagePlugin

from fixtures.images import chunk, encoded, photo
from tests.support.files import jpeg

PNG_MARK = b"\x89PNG\r\n\x1a\n"
STRANGE = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 0x11, 0x21, 0x22, 128, 255)

Piece = tuple[bytes, bytes]

MARKS: tuple[Piece, ...] = (
    (b"\xe0", b"JFIF\0\1\1\0\0\1\0\1\0\0"),
    (b"\xe0", b"JFIF\0\1\1\0\0\1\0\1\1\1abc"),
    (b"\xe0", b"JFIF\0\2\1\0\0\1\0\1\0\0"),
    (b"\xe0", b"JFXX\0\x10abc"),
    *((b"\xee", b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in range(3)),
    *((b"\xee", b"Adobe\0\x64\0\0\0\0" + bytes([transform]) + b"more") for transform in range(3)),
    (b"\xfe", b"a comment"),
)
"""Markers and payloads that declare a JPEG's colours, or appear to."""

PUT_IN: tuple[Piece, ...] = (
    (b"gAMA", struct.pack(">I", 45_455)),
    (b"sRGB", b"\0"),
    (b"pHYs", bytes(9)),
    (b"tIME", bytes(7)),
    (b"tEXt", b"a\0b"),
    (b"PLTE", bytes(range(48))),
    (b"tRNS", bytes(6)),
    (b"bKGD", bytes(6)),
    (b"hIST", bytes(32)),
    (b"sBIT", b"\x08\x08\x08"),
    (b"cHRM", bytes(32)),
    (b"iCCP", b"x\0\0" + zlib.compress(bytes(200))),
    (b"eXIf", b"II*\0"),
    (b"cICP", bytes([1, 13, 0, 1])),
    (b"IDAT", b""),
    (b"IEND", b""),
    (b"ABCD", b"x"),
    (b"abCd", b"x"),
    (b"1234", b""),
)


def pngs() -> list[bytes]:
    """Return small PNGs that pass through unchanged."""
    with_text, info = BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("a", "b")
    photo(24, 16).save(with_text, "PNG", pnginfo=info, dpi=(72, 72))
    kinds = [encoded(photo(24, 16).convert(mode)) for mode in ("RGB", "L", "P", "1")]
    return [*kinds, encoded(photo(40, 30).quantize(16)), with_text.getvalue()]


def jpegs() -> list[bytes]:
    """Return small JPEGs that pass through unchanged, or would after decoding."""
    made = [
        encoded(photo(64, 48).convert(mode), "JPEG", **options)
        for mode in ("RGB", "L")
        for options in (
            {"quality": 95},
            {"quality": 95, "progressive": True},
            {"quality": 97, "subsampling": 0},
            {"quality": 95, "restart_marker_blocks": 2},
            {"quality": 95, "optimize": True},
        )
    ]
    return [*made, *map(_without_marks, made)]


def _without_marks(data: bytes) -> bytes:
    return jpeg.joined([each for each in jpeg.segments(data) if each[0] != jpeg.JFIF])


def png_mutant(data: bytes, random: Random) -> bytes:
    """Return ``data`` with one to three mutations of its chunks."""
    pieces = _chunks(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        _change(pieces, random)
        place = random.randrange(len(pieces) + 1)
        action = random.randrange(4)
        if action == 0:
            pieces.insert(place, random.choice(PUT_IN))
        elif action == 1 and pieces and pieces[0][0] == b"IHDR" and len(pieces[0][1]) == 13:
            body = bytearray(pieces[0][1])
            body[random.choice((3, 7, 8, 9, 10, 11, 12))] = random.choice(STRANGE)
            pieces[0] = (b"IHDR", bytes(body))
        elif action == 2:
            _split_rows(pieces, random)
    return PNG_MARK + b"".join(chunk(*piece) for piece in pieces)


def _change(pieces: list[Piece], random: Random) -> None:
    """Omit, double or swap chunks, or truncate, extend or corrupt a body."""
    if not pieces:
        return
    one, other = (random.randrange(len(pieces)) for _ in range(2))
    name, body = pieces[one]
    match random.randrange(7):
        case 0:
            pieces.pop(one)
        case 1:
            pieces.insert(other, pieces[one])
        case 2:
            pieces[one], pieces[other] = pieces[other], pieces[one]
        case 3:
            pieces[one] = (name, body[: random.randrange(len(body) + 1)])
        case 4:
            pieces[one] = (name, body + bytes(random.randrange(1, 5)))
        case 5 if body:
            place = random.randrange(len(body))
            spoilt = bytes([body[place] ^ 1 << random.randrange(8)])
            pieces[one] = (name, body[:place] + spoilt + body[place + 1 :])


def _split_rows(pieces: list[Piece], random: Random) -> None:
    for at, (name, body) in enumerate(pieces):
        if name == b"IDAT" and len(body) > 2:
            cut = random.randrange(len(body))
            pieces[at : at + 1] = [(name, body[:cut]), (name, body[cut:])]
            return


def _chunks(data: bytes) -> list[Piece]:
    at, pieces = 8, []
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        pieces.append((name, data[at + 8 : at + 8 + size]))
        at += 12 + size
    return pieces


def jpeg_mutant(data: bytes, random: Random) -> bytes:
    """Return ``data`` with one to three mutations of its segments and scans."""
    segments = jpeg.segments(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not segments:
            break
        one, other = (random.randrange(len(segments)) for _ in range(2))
        marker, body, scan = segments[one]
        match random.randrange(12):
            case 9 | 10 | 11:
                name, body = random.choice(MARKS)
                segments.insert(other, (name[0], body, b""))
            case 0:
                segments.pop(one)
            case 1:
                segments.insert(other, segments[one])
            case 2:
                segments[one], segments[other] = segments[other], segments[one]
            case 3 | 4 | 5 if body:
                place = random.randrange(min(len(body), 20))
                value = bytes([random.choice((*STRANGE, random.randrange(256)))])
                segments[one] = (marker, body[:place] + value + body[place + 1 :], scan)
            case 6:
                segments[one] = (marker, body[: random.randrange(len(body) + 1)], scan)
            case 7:
                segments[one] = (marker, body, scan[: random.randrange(len(scan) + 1)])
            case 8:
                segments[:] = [_swapped(each) for each in segments]
    return jpeg.joined(segments)


def _swapped(segment: jpeg.Segment) -> jpeg.Segment:
    marker, body, scan = segment
    if marker == jpeg.SOS and len(body) >= 10:
        return marker, body[:1] + body[3:5] + body[1:3] + body[5:], scan
    return segment
