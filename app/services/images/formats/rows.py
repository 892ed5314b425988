"""Rows of an uncompressed picture, and the detection of zeros in place of rows."""

from typing import NamedTuple

LEAST = 8
"""Minimum bytes on each side of the position in a row where the data ends."""
LIVELY = 0.9
"""Minimum share of non-zero bytes that shows picture data rather than a dark corner."""


class Rows(NamedTuple):
    """Consecutive rows in a file."""

    start: int
    end: int
    used: int
    """Bytes of the pixels of a row."""
    stride: int
    """Bytes from the start of one row to the next."""


def share_written(data: bytes, rows: Rows) -> float:
    """Return the share of the rows, 0 to 1, before zeros that pad an interrupted download.

    Black areas are zeros as well, but they begin at a row's start or continue in the row above.
    Truncated data ends within a row, with non-black pixels before and above the zeros.
    """
    written = len(data[rows.start : rows.end].rstrip(b"\0"))
    row, column = divmod(written, rows.stride)
    size = rows.end - rows.start
    if not row or not LEAST <= column <= rows.used - LEAST or written > size // 2:
        return 1.0
    at = rows.start + row * rows.stride
    above = data[at - rows.stride + column : at - rows.stride + rows.used]
    before = data[at : at + column]
    lively = all(part.count(0) <= (1 - LIVELY) * len(part) for part in (above, before))
    return written / size if lively else 1.0
