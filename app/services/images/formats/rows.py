"""Rows of an unpacked picture, and whether zeros stand in the place of some."""

from typing import NamedTuple

LEAST = 8
"""Bytes on each side of the place in a row where the data ends."""
LIVELY = 0.9
"""Share of bytes that are not zero where there is a picture, and not a dark corner of one."""


class Rows(NamedTuple):
    """Rows that follow each other in a file."""

    start: int
    end: int
    used: int
    """Bytes of a row's pixels."""
    stride: int
    """Bytes from one row to the next."""


def share_written(data: bytes, rows: Rows) -> float:
    """The share of the rows, 0 to 1, before zeros as an interrupted download is filled with.

    Black areas are zeros too. Those of a picture begin where a row does, or are black in the row
    before as well; data that ends amidst a row leaves pixels there, and pixels above the zeros.
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
