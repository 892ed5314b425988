"""Rows of an uncompressed picture, and the detection of padding in place of rows."""

from typing import NamedTuple

from app.services.images.formats import padding

LEAST = 8
"""Minimum bytes on each side of the position in a row where the data ends."""
LIVELY = 0.9
"""Minimum share of other bytes that shows picture data rather than a corner of one colour."""


class Rows(NamedTuple):
    """Consecutive rows in a file."""

    start: int
    end: int
    used: int
    """Bytes of the pixels of a row."""
    stride: int
    """Bytes from the start of one row to the next."""


def share_written(data: bytes, rows: Rows) -> float:
    """Return the share of the rows, 0 to 1, before the padding of an interrupted download.

    Areas of one colour repeat as well, but begin at a row's start or continue in the row above.
    Truncated data ends within a row, with other pixels before and above the padding.
    """
    written = padding.start(data, rows.start, rows.end) - rows.start
    row, column = divmod(written, rows.stride)
    size = rows.end - rows.start
    if not row or not LEAST <= column <= rows.used - LEAST or written > size // 2:
        return 1.0
    at = rows.start + row * rows.stride
    above = data[at - rows.stride + column : at - rows.stride + rows.used]
    before = data[at : at + column]
    fill = set(data[rows.start + written : rows.end])
    lively = all(
        sum(byte not in fill for byte in part) >= LIVELY * len(part) for part in (above, before)
    )
    return written / size if lively else 1.0
