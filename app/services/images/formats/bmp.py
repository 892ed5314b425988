"""Reads BMP headers."""

from struct import unpack_from
from typing import NamedTuple

from app.domain.image import ImageLimits
from app.services.images.formats.layout import Layout
from app.services.images.formats.rows import Rows

OS2_HEADER = 12
V2_HEADER, V3_HEADER, V5_HEADER = 52, 56, 124
UNPACKED = frozenset({0, 3, 6})
"""Compression values of uncompressed pictures."""
BIT_FIELDS, ALPHA_BIT_FIELDS = 3, 6
"""Compression values of pictures whose header says which bits hold which colour."""
EMBEDDED = b"DEBM"
"""The colour space of a picture with an embedded ICC profile."""


class Field(NamedTuple):
    """The bits of a pixel that hold one colour or the transparency."""

    shift: int
    """Number of lower bits that hold something else."""
    most: int
    """The largest value; 0 if the picture lacks the colour."""


class BitFields(NamedTuple):
    """Pixels of 16 or 32 bits whose header says which bits hold which colour."""

    bits: int
    fields: tuple[Field, ...]
    """Red, green and blue, and the transparency if there is any."""
    start: int
    """Offset of the first stored row."""
    downwards: bool
    """Whether the first stored row is the top one."""


def read(data: bytes, limits: ImageLimits) -> Layout:  # noqa: ARG001 - one signature for all readers
    """Return the layout of the picture; a negative height means that rows run downwards."""
    (header,) = unpack_from("<I", data, 14)
    width, height = unpack_from("<HH" if header == OS2_HEADER else "<ii", data, 18)
    return Layout(width, abs(height))


def rows(data: bytes, layout: Layout) -> Rows | None:
    """Return the rows of a file with the given layout, or None if they are compressed."""
    start, header = unpack_from("<II", data, 10)
    (bits,) = unpack_from("<H", data, 24 if header == OS2_HEADER else 28)
    if header != OS2_HEADER and unpack_from("<I", data, 30)[0] not in UNPACKED:
        return None
    stride = (layout.width * bits + 31) // 32 * 4
    return Rows(start, start + layout.height * stride, layout.width * bits // 8, stride)


def bit_fields(data: bytes) -> BitFields | None:
    """Return the bit fields of a picture that has some, else None."""
    start, header = unpack_from("<II", data, 10)
    if header == OS2_HEADER:
        return None
    height, bits, packed = unpack_from("<i2xHI", data, 22)
    if packed not in {BIT_FIELDS, ALPHA_BIT_FIELDS} or bits not in {16, 32}:
        return None
    see_through = packed == ALPHA_BIT_FIELDS or header >= V3_HEADER
    masks = unpack_from("<4I" if see_through else "<3I", data, 54)
    fields = [field for field in map(_field, masks) if field is not None]
    if len(fields) < len(masks) or not any(field.most for field in fields[:3]):
        return None
    used = fields if fields[-1].most else fields[:3]
    return BitFields(bits, tuple(used), start or 14 + max(header, V2_HEADER), height < 0)


def _field(mask: int) -> Field | None:
    """Return the field of a mask, or None if its bits are not consecutive."""
    shift = (mask & -mask).bit_length() - 1 if mask else 0
    most = mask >> shift
    return None if most & most + 1 else Field(shift, most)


def profile(data: bytes) -> bytes | None:
    """Return the embedded ICC profile, or None."""
    (header,) = unpack_from("<I", data, 14)
    if header < V5_HEADER or data[70:74] != EMBEDDED:
        return None
    place, size = unpack_from("<II", data, 126)
    return data[14 + place : 14 + place + size]
