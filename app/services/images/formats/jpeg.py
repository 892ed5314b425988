"""Reads JPEG headers and removes everything that is not the picture."""

import re
from collections.abc import Mapping
from dataclasses import replace
from struct import pack, unpack_from
from types import MappingProxyType

import re2

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import exif, icc
from app.services.images.formats.jpeg_proof import (
    DRI,
    EOI,
    FRAMES,
    GAP_SAMPLES,
    GAP_STEP,
    OTHER_FRAMES,
    SCAN,
    SOS,
    STANDALONE,
    TABLES,
    Proof,
    Segment,
)
from app.services.images.formats.layout import Layout, too_many_pieces

MAGIC, END = b"\xff\xd8\xff", b"\xff\xd9"
JFIF, EXIF, ICC, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
ICC_HEADER = b"ICC_PROFILE\0"

UNREAD_FRAMES: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
        0xCB: "a lossless JPEG with arithmetic coding",
        0xF7: "a JPEG-LS picture",
    }
)
"""Start-of-frame markers that no decoder here reads."""
_BYTES = re2.Options()
_BYTES.encoding = re2.Options.Encoding.LATIN1  # without it they would have to be UTF-8
# Begins with a literal byte, which RE2 finds at memory speed. Every picture is searched to its end,
# and Python's own engine takes twelve times as long.
_AFTER_SCAN = re2.compile(rb"\xff[^\x00\xff]", _BYTES)
"""Matches the next marker in entropy-coded data, but not a stuffed 0xFF."""
_AFTER_RESTARTS = re2.compile(rb"\xff[^\x00\xff\xd0-\xd7]", _BYTES)
"""Matches the next marker if restart markers are announced, which belong to the data."""
_FILL = re.compile(rb"\xff*")


def segments(data: bytes, limits: ImageLimits, *, header: bool = False) -> list[Segment]:
    """Return the segments of the first picture in the file, including each `SCAN`, up to EOI.

    The list ends without EOI if the file is cut off, and with the first SOS if only the ``header``
    is requested. Stray bytes between segments are skipped, as by decoders, which leaves a gap
    between one segment's end and the next one's start. Raises `ImageBombError` over the limit of
    pieces.
    """
    # A single loop without calls, since every picture that fits passes it on the event loop.
    every: list[Segment] = []
    at, left, size, after_scan = 2, limits.max_chunks, len(data), _AFTER_SCAN
    while at >= 0:
        if at + 4 > size and not data.startswith(END, at):
            return every
        marker = data[at + 1]
        if data[at] != 0xFF or marker in _NO_MARKER:
            at = _next_marker(data, at)
            continue
        if not left:
            raise too_many_pieces(limits.max_chunks)
        left -= 1
        start, at = at, at + 2
        if marker != EOI and marker not in STANDALONE:
            at += data[at] << 8 | data[at + 1]
        every.append(Segment(marker, start, at, data[start + 4 : at]))
        if marker == EOI or (header and marker == SOS):
            return every
        if marker == DRI:
            after_scan = (_AFTER_SCAN, _AFTER_RESTARTS)[any(every[-1].payload)]
        elif marker == SOS:
            after = after_scan.search(data, at)
            if after is None:
                return every
            every.append(Segment(SCAN, at, after.start(), b""))
            at = after.start()
    return every


_NO_MARKER = frozenset({0x00, 0xFF})


def _next_marker(data: bytes, at: int) -> int:
    """Return the offset of the next marker after fill and stray bytes, or -1 if there is none."""
    if data.startswith(b"\xff\xff", at):
        # The last 0xFF of a run belongs to the marker.
        return _FILL.match(data, at).end() - 1  # type: ignore[union-attr]
    marker = _AFTER_SCAN.search(data, at)
    return -1 if marker is None else int(marker.start())


def read(data: bytes, limits: ImageLimits) -> Layout:
    """Return the layout of the first picture in the file."""
    frame: Segment | None = None
    orientation, adobe, jfif, profile, metadata = 0, None, False, [], 0
    end, stray = 2, False
    for segment in segments(data, limits, header=True):
        payload = segment.payload
        # Fill bytes before a marker are allowed.
        if segment.start != end:
            stray = stray or bool(data[end : segment.start].strip(b"\xff"))
        end = segment.end
        if segment.marker in FRAMES or segment.marker in OTHER_FRAMES:
            frame = segment
        elif segment.marker == EXIF and payload.startswith(b"Exif\0\0") and not orientation:
            orientation = exif.orientation(payload)
        elif segment.marker == ICC and payload.startswith(ICC_HEADER):
            profile.append(payload[14:])
            metadata += len(payload)
        elif segment.marker == ADOBE and payload.startswith(b"Adobe") and len(payload) > 11:
            adobe = payload[11]
        elif segment.marker == JFIF and payload.startswith(b"JFIF\0"):
            jfif = True
    if frame is None:
        raise ImageDamagedError("The JPEG is damaged or cut off before its picture begins.")
    foreign_profile = bool(profile) and not icc.is_srgb(b"".join(profile))
    layout = _layout(frame, adobe, orientation or 1, icc_bytes=metadata, foreign=foreign_profile)
    # JFIF colours are YCbCr or grey. If Adobe's marker contradicts that, decoders differ.
    if stray or (jfif and adobe not in {None, 1}):
        return replace(layout, stray=stray, plain=False)
    return layout


def _layout(
    frame: Segment, adobe: int | None, orientation: int, *, icc_bytes: int, foreign: bool
) -> Layout:
    if frame.marker in UNREAD_FRAMES:
        raise UnsupportedImageTypeError(
            f"This is {UNREAD_FRAMES[frame.marker]}, which is not accepted; only baseline and "
            "progressive JPEG are."
        )
    precision, height, width, components = unpack_from(">BHHB", frame.payload)
    if precision != 8:
        raise UnsupportedImageTypeError(
            f"This is a JPEG with {precision} bits a sample; only 8 are accepted."
        )
    ids = frame.payload[6 : 6 + 3 * components : 3]
    # Without a JFIF marker, decoders guess the colours by the components' names.
    common = (components == 1) or (components == 3 and (ids == b"\1\2\3" or adobe == 1))
    return Layout(
        width=width,
        height=height,
        orientation=orientation,
        plain=frame.marker in FRAMES and common and not foreign,
        largest_metadata=icc_bytes,
    )


def stripped(data: bytes, limits: ImageLimits, *, sure: bool = True) -> bytes | None:
    """Return ``data`` without metadata, comments, thumbnails and data after the picture.

    The result is the same object if there is nothing to remove, and None if the file can't be
    proven complete and well-formed without a decoder. Without ``sure``, a file whose data may not
    fill its frame is returned as well, which only a decoder can tell.
    """
    every = segments(data, limits)
    proof = Proof(data)
    for segment in every:
        if not proof.add(segment) or (segment.marker in _NAMING and _is_short(segment.payload)):
            return None
    if not proof.whole or (sure and proof.doubtful):
        return None
    kept = [
        segment
        for segment in every
        if segment.marker in _DRAWN or (segment.marker in _NAMING and _is_plain(segment))
    ]
    # The SOI marker has two bytes.
    if 2 + sum([segment.end - segment.start for segment in kept]) == len(data):
        return data
    whole = memoryview(data)
    pieces = [whole[:2]]
    for segment in every:
        if segment.marker in _DRAWN:
            pieces.append(whole[segment.start : segment.end])
        elif segment.marker in _NAMING:
            pieces.append(memoryview(_plain(segment)))
    return b"".join(pieces)


def detail(data: bytes, limits: ImageLimits) -> float:
    """Return the share of coefficients, 0 to 1, that a JPEG with several scans has; else 1."""
    if not has_several_scans(data, limits):
        return 1.0
    return _proof(data, limits).detail


def share_written(data: bytes, limits: ImageLimits) -> float:
    """Return the share of a JPEG's coded data, 0 to 1, that is not zeros amid the picture."""
    if GAP_SAMPLES not in data[::GAP_STEP]:
        return 1.0
    return _proof(data, limits).written


def _proof(data: bytes, limits: ImageLimits) -> Proof:
    proof = Proof(data)
    for segment in segments(data, limits):
        proof.add(segment)
    return proof


def has_several_scans(data: bytes, limits: ImageLimits) -> bool:
    """Return whether the picture is progressive or its first scan lacks some of its colours."""
    components = 0
    for marker, _, _, payload in segments(data, limits, header=True):
        if marker == 0xC2:
            return True
        if marker in FRAMES:
            components = payload[5]
        elif marker == SOS:
            return payload[:1] != bytes([components])
    return False


def with_more_rows(data: bytes, limits: ImageLimits) -> bytes:
    """Return ``data`` with a frame that is two rows of blocks higher, as far as JPEG allows."""
    for marker, start, _, payload in segments(data, limits, header=True):
        if marker in FRAMES:
            height = unpack_from(">H", payload, 1)[0]
            tallest = max(sampling & 15 for sampling in payload[7::3])
            # The height follows the marker, the length and the bits of a sample.
            at = start + 5
            return data[:at] + pack(">H", min(height + 16 * tallest, 0xFFFF)) + data[at + 2 :]
    return data


def closed(data: bytes, limits: ImageLimits) -> bytes:
    """Return ``data`` with an EOI marker, which is added if it is missing."""
    return data if is_closed(data, limits) else data + END


def is_closed(data: bytes, limits: ImageLimits) -> bool:
    """Return whether the picture has an EOI marker."""
    # Nearly every file ends with the marker, and walking a large one takes milliseconds.
    if data.endswith(END):
        return True
    every = segments(data, limits)
    return bool(every) and every[-1].marker == EOI


_DRAWN = FRAMES | TABLES | {SOS, SCAN, EOI}
"""Segments that are needed to draw the picture."""
_NAMING = frozenset({JFIF, ADOBE})
"""Segments that describe its colours."""


def _is_short(payload: bytes) -> bool:
    """Return whether the payload is a truncated JFIF or Adobe marker."""
    return (payload.startswith(b"JFIF\0") and len(payload) < 14) or (
        payload.startswith(b"Adobe") and len(payload) < 12
    )


def _plain(segment: Segment) -> bytes:
    """Return a JFIF or Adobe marker without its thumbnail; empty for other segments."""
    first = segment.payload[:12]
    if segment.marker == JFIF and first.startswith(b"JFIF\0"):
        return b"\xff\xe0\0\x10" + first + b"\0\0"
    if segment.marker == ADOBE and first.startswith(b"Adobe"):
        return b"\xff\xee\0\x0e" + first
    return b""


def _is_plain(segment: Segment) -> bool:
    """Return whether a segment describes the picture's colours and nothing else."""
    if segment.marker == JFIF:
        # Longer segments have a thumbnail.
        return segment.payload.startswith(b"JFIF\0\1") and len(segment.payload) == 14
    return segment.payload.startswith(b"Adobe") and len(segment.payload) == 12
