"""JPEG: the header read, and everything cut out that is not the picture."""

import re
from struct import unpack_from

import re2

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
from app.services.images.formats.layout import Layout, too_many_pieces

MAGIC = b"\xff\xd8\xff"
JFIF, EXIF, ICC, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
ICC_HEADER = b"ICC_PROFILE\0"

SCAN = 0x100
"""In place of a marker, and no byte: the entropy-coded data after an SOS."""
_BYTES = re2.Options()
_BYTES.encoding = re2.Options.Encoding.LATIN1  # else they would have to be UTF-8
# Begins with one literal byte, which RE2 looks for at memory speed. Every picture is searched to
# its end, and Python's own takes twelve times as long.
_AFTER_SCAN = re2.compile(rb"\xff[^\x00\xff\xd0-\xd7]", _BYTES)
"""The next marker in entropy-coded data: not a stuffed 0xFF, not a restart."""
_FILL = re.compile(rb"\xff*")


def segments(data: bytes, limits: ImageLimits, *, header: bool = False) -> list[Segment]:
    """Return every segment of the first picture in the file, and every `SCAN`, ending with EOI.

    Ends without EOI where the file is cut off, and with the first SOS where only the ``header``
    is asked for. Raises `ImageBombError` over the limit of pieces.
    """
    # One loop without a call for each piece: every picture that fits goes through it as it waits.
    found: list[Segment] = []
    at, left, size = 2, limits.max_chunks, len(data)
    while True:
        if data.startswith(b"\xff\xff", at):
            # The last 0xFF of a run is the marker's own.
            at = _FILL.match(data, at).end() - 1  # type: ignore[union-attr]
        whole = at + 4 <= size or data.startswith(b"\xff\xd9", at)
        if not whole or data[at] != 0xFF:
            return found
        if not left:
            raise too_many_pieces(limits.max_chunks)
        left -= 1
        marker, start = data[at + 1], at
        at += 2
        if marker != EOI and marker not in STANDALONE:
            at += data[at] << 8 | data[at + 1]
        found.append(Segment(marker, start, at, data[start + 4 : at]))
        if marker == EOI or (header and marker == SOS):
            return found
        if marker == SOS:
            after = _AFTER_SCAN.search(data, at)
            if after is None:
                return found
            found.append(Segment(SCAN, at, after.start(), b""))
            at = after.start()


def read(data: bytes, limits: ImageLimits) -> Layout:
    """The layout of the first picture in the file."""
    frame: Segment | None = None
    orientation, adobe, profile, metadata = 0, None, [], 0
    for segment in segments(data, limits, header=True):
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
    found = segments(data, limits)
    proof = Proof()
    for segment in found:
        if segment.marker != SCAN and not proof.add(segment):
            return None
    if not proof.whole:
        return None
    kept = [
        segment
        for segment in found
        if segment.marker in _DRAWN or (segment.marker in _NAMING and _is_plain(segment))
    ]
    # The file's own mark is two bytes.
    if 2 + sum([segment.end - segment.start for segment in kept]) == len(data):
        return data
    whole = memoryview(data)
    return b"".join([whole[:2], *[whole[segment.start : segment.end] for segment in kept]])


_DRAWN = FRAMES | TABLES | {SOS, SCAN, EOI}
"""What the picture is drawn of."""
_NAMING = frozenset({JFIF, ADOBE})
"""What names its colours."""


def _is_plain(segment: Segment) -> bool:
    """Whether a segment names the picture's colours, and holds nothing else."""
    if segment.marker == JFIF:
        # Longer ones carry a thumbnail.
        return segment.payload.startswith(b"JFIF\0") and len(segment.payload) == 14
    return segment.payload.startswith(b"Adobe") and len(segment.payload) == 12
