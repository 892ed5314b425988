"""Which pages and which strips of them are shown: pure arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

from app.services.geometry import Size, View

WIDTH = 1_120
"""Pixels along the longer side of a page shown whole, and along the width of a strip."""
STRIP = 560
"""Pixels of a strip's height: two of the model's tiles, and as much text as one answer holds."""
OVERLAP = 120
"""Pixels that neighbouring strips share: four lines of a letter, three of them whole."""

Detail = Literal["auto", "high"]


class PageRangeError(ValueError):
    """A page range can't be used."""


class Band(NamedTuple):
    """A horizontal part of a page: shares of its height, 0 at the top."""

    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Cut:
    """What is to be rendered of a page."""

    page: int
    """From 0."""
    width: int
    """Of the whole page's width, pixels."""
    band: Band


def selected(text: str | None, count: int) -> tuple[int, ...]:
    """Return the pages, from 1, that ``text`` (``1-3,5`` or ``2-``) selects of ``count``."""
    if text is None:
        return tuple(range(1, count + 1))
    chosen = dict.fromkeys(page for part in text.split(",") for page in _part(part, count))
    return tuple(sorted(chosen))


def _part(part: str, count: int) -> range:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    start = int(first)
    stop = int(last) if last else (count if dash else start)
    if start < 1 or stop < start:
        raise PageRangeError(f"{part.strip()} is no range; pages count from 1")
    if stop > count or start > count:
        raise PageRangeError(f"{part.strip()} is out of range: the document has {count} page(s)")
    return range(start, stop + 1)


def cuts(page: int, size: Size, detail: Detail) -> Iterator[Cut]:
    """Yield what to show of ``page`` (from 0): the whole, or strips from top to bottom."""
    height = WIDTH * size.height / size.width
    if detail == "auto" or height <= STRIP:
        yield Cut(page, max(1, int(WIDTH * min(1.0, size.width / size.height))), Band(0, 1))
        return
    count = ceil((height - OVERLAP) / (STRIP - OVERLAP))
    share = STRIP / height
    # Spread evenly, so that the last strip is as tall as the others.
    step = (1 - share) / (count - 1) if count > 1 else 0
    for number in range(count):
        top = number * step
        yield Cut(page, WIDTH, Band(top, min(1.0, top + share)))


def view(cut: Cut, size: Size) -> View:
    """Return which part of a page of ``size`` a cut shows."""
    top, bottom = cut.band
    return View(size, (0, top * size.height, size.width, (bottom - top) * size.height))
