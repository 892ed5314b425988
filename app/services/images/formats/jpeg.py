"""JPEG: the header read, and everything cut out that is not the picture."""

import re
from collections.abc import Iterator, Sequence
from struct import unpack_from

from app.domain.errors import ImageDamagedError, UnsupportedImageTypeError
from app.domain.image import ImageLimits
from app.services.images.formats import exif, icc
from app.services.images.formats.jpeg_proof import (
    EOI,
    FRAMES,
    OTHER_FRAMES,
    SOS,
    STANDALONE,
    TABLES,
    Proof,
    Segment,
)
from app.services.images.formats.layout import ChunkCounter, Layout

MAGIC = b"\xff\xd8\xff"
JFIF, EXIF, ICC, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
ICC_HEADER = b"ICC_PROFILE\0"

SCAN = 0x100
"""In place of a marker, and no byte: the entropy-coded data after an SOS."""
# Begins with one literal byte, which is looked for at memory speed; a repetition there would cost
# twenty times as much, and the square of its length where a file is full of 0xFF.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The next marker in entropy-coded data: not a stuffed 0xFF, not a restart."""
_FILL = re.compile(rb"\xff*")


def segments(data: bytes, counter: ChunkCounter) -> Iterator[Segment]:
    """Every segment of the first picture in the file, and every `SCAN`, ending with EOI.

    Ends early, without EOI, where the file is cut off.
    """
    at = 2
    while (found := _marker(data, at)) is not None:
        counter.step()
        start, marker = found
        if marker in STANDALONE or marker == EOI:
            end = start + 2
        else:
            (size,) = unpack_from(">H", data, start + 2)
            end = start + 2 + size
        yield Segment(marker, start, end, data[start + 4 : end])
        if marker == EOI:
            return
        at = end
        if marker == SOS:
            after = _AFTER_SCAN.search(data, end)
            if after is None:
                return
            at = after.start()
            yield Segment(SCAN, end, at, b"")


def _marker(data: bytes, at: int) -> tuple[int, int] | None:
    """The marker at or after ``at``, fill bytes skipped; None at the end or where there is none."""
    fill = _FILL.match(data, at)
    # The last 0xFF of a run is the marker's own.
    at = max(at, fill.end() - 1) if fill else at
    if len(data) < at + 4 and data[at : at + 2] != b"\xff\xd9":
        return None
    return (at, data[at + 1]) if data[at] == 0xFF else None


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the first picture in the file."""
    frame: Segment | None = None
    orientation, adobe, profile, metadata = 0, None, [], 0
    for segment in segments(data, ChunkCounter(limits)):
        payload = segment.payload
        if segment.marker in FRAMES or segment.marker in OTHER_FRAMES:
            frame = segment
        elif segment.marker == EXIF and payload.startswith(b"Exif\0\0") and not orientation:
            orientation = exif.orientation(payload)
        elif segment.marker == ICC and payload.startswith(ICC_HEADER):
            profile.append(payload[14:])
            metadata += len(payload)
        elif segment.marker == ADOBE and payload.startswith(b"Adobe") and len(payload) > 11:
            adobe = payload[11]
        elif segment.marker == SOS:
            break
    if frame is None:
        raise ImageDamagedError("The JPEG is damaged or cut off before its picture begins.")
    foreign_profile = bool(profile) and not icc.is_srgb(b"".join(profile))
    return _layout(frame, adobe, orientation or 1, icc_bytes=metadata, foreign=foreign_profile)


def _layout(
    frame: Segment, adobe: int | None, orientation: int, *, icc_bytes: int, foreign: bool
) -> Layout:
    precision, height, width, components = unpack_from(">BHHB", frame.payload)
    if precision != 8:
        raise UnsupportedImageTypeError(
            f"This is a JPEG with {precision} bits a sample; only 8 are accepted."
        )
    ids = frame.payload[6 : 6 + 3 * components : 3]
    # Without the JFIF mark decoders guess the colours by the components' names.
    common = (components == 1) or (components == 3 and (ids == b"\1\2\3" or adobe == 1))
    return Layout(
        width=width,
        height=height,
        orientation=orientation,
        plain=frame.marker in FRAMES and common and not foreign,
        largest_metadata=icc_bytes,
    )


def stripped(data: bytes, limits: ImageLimits) -> bytes | None:
    """``data`` without metadata, comments, thumbnails and what follows the picture.

    The same object where there is nothing to cut. None where the file can't be proven whole
    and well-formed without decoding it.
    """
    kept = [(0, 2)]
    proof = Proof()
    for segment in segments(data, ChunkCounter(limits)):
        if segment.marker != SCAN and not proof.add(segment):
            return None
        if segment.marker == SCAN or _is_picture(segment):
            kept.append((segment.start, segment.end))
    return _cut(data, kept) if proof.whole else None


def _cut(data: bytes, kept: Sequence[tuple[int, int]]) -> bytes:
    """The ``kept`` spans of ``data``, in order; itself where they are all of it."""
    if sum([end - start for start, end in kept]) == len(data):
        return data
    whole = memoryview(data)
    return b"".join([whole[start:end] for start, end in kept])


def _is_picture(segment: Segment) -> bool:
    """Whether decoders need the segment: frame, scan, tables, and the two that name colours."""
    marker, payload = segment.marker, segment.payload
    if marker == JFIF:
        # Longer ones carry a thumbnail.
        return payload.startswith(b"JFIF\0") and len(payload) == 14
    if marker == ADOBE:
        return payload.startswith(b"Adobe") and len(payload) == 12
    return marker in FRAMES or marker in TABLES or marker in {SOS, EOI}
