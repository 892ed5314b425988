"""Chooses the pages, and the tiles of pages, that are shown. Pure arithmetic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Literal, NamedTuple

from app.services.geometry import Size, View

WIDTH = 1_120
"""Pixels along the longer side of a page shown whole, and the widest that a tile may be."""
STRIP = 560
"""Pixels of a tile's height: two of the model's own tiles, and as much text as one answer holds."""
OVERLAP = 120
"""Pixels that neighbouring tiles share where nothing empty lies between them: four lines of a
letter, three of them whole."""
ROW_GAP, COLUMN_GAP = 4, 8
"""Pixels of emptiness to cut through: between lines, and between words."""
ROW_SLACK, COLUMN_SLACK = 200, 320
"""Pixels before a tile's end within which emptiness is looked for."""

Detail = Literal["auto", "high"]


class PageRangeError(ValueError):
    """A page range can't be used."""


class Tile(NamedTuple):
    """A part of a page, in pixels of the page as it is drawn."""

    left: int
    top: int
    width: int
    height: int


class Span(NamedTuple):
    """A part of one side of a page, in pixels."""

    start: int
    length: int
    shared: int = 0
    """Pixels that the span before has too."""
    gap: int = 0
    """Empty pixels around where it meets the span before, where they share none."""


class Slant(NamedTuple):
    """The area between slanting lines, in pixels.

    ``top <= y - steep * x < bottom``, and in one column ``left <= x + steep * y < right``.
    """

    steep: float
    """Pixels down for each pixel to the right."""
    top: float
    bottom: float
    left: float = -inf
    right: float = inf

    def bounds(self, columns: Span, height: int) -> Span:
        """Return the rows, of a page of ``height``, that hold all of it in these columns."""
        across = [self.steep * x for x in (columns.start, columns.start + columns.length)]
        first = max(0, floor(self.top + min(across)))
        last = min(height, ceil(self.bottom + max(across)))
        return Span(first, max(0, last - first))


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a page that is to be drawn."""

    page: int
    """The page's number in the document, from 1."""
    drawn: Size
    """The size of the whole page, in the pixels in which it is drawn."""
    tile: Tile
    row: int = 0
    """The row of tiles that this one is in, from 0."""
    shared_above: int = 0
    """Pixels that the row of tiles above shows too."""
    shared_left: int = 0
    """Pixels that the tile to the left shows too."""
    gap_left: int = 0
    """Empty pixels around where it meets the tile to the left, where they share none."""
    share_above: float | None = None
    """Share of the ink in its row that the row of tiles above shows too, 0 to 1; None where only
    the pixels are known."""
    slant: Slant | None = None
    """The part of the tile that is shown, where lines of text slant; None for all of it."""
    lines: tuple[Span, ...] = ()
    """Where lines seem to stand, of a tile that has others beside it: as `level` gives rows."""

    def level(self, x: float, y: float) -> float:
        """Return the row of a pixel of the page on a page that was turned so that lines are level.

        All pixels of one line of text are in the same row.
        """
        return y - x * self.slant.steep if self.slant else y

    @property
    def is_whole(self) -> bool:
        """Whether all of the page is shown."""
        return self.tile == (0, 0, *self.drawn)


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of something that is shown."""

    file: str = "images.0"
    """Place of the file in the request."""
    number: int = 1
    """The number of the page in its file, from 1."""
    size: Size | None = None
    """The page's size: points for a PDF, else pixels as a viewer shows it; None if unknown."""
    cut: Cut | None = None
    """The part of the page that is shown; None for a picture shown whole."""
    text: str | None = None
    """The page's own text layer, where that was asked for and there is one."""


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


def whole(page: int, size: Size, sharpest: float) -> Cut:
    """Return all of ``page`` (from 1), as large as the model takes it.

    ``sharpest`` is the most pixels for one unit of ``size``.
    """
    drawn = scaled(size, min(WIDTH / max(size), sharpest))
    return Cut(page, drawn, Tile(0, 0, *drawn))


def scaled(size: Size, scale: float) -> Size:
    """Return ``size`` in whole pixels, none of them over what ``scale`` gives."""
    return Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))


def in_tiles(size: Size, sharpest: float) -> Size:
    """Return how large a page is drawn that is shown in tiles: its shorter side fills a tile."""
    return scaled(size, min(WIDTH / min(size), sharpest))


def spans(total: int, most: int, *, slack: int, gaps: Sequence[Span] = ()) -> Iterator[Span]:
    """Yield the parts, at most ``most`` long, that cover a side of ``total`` pixels.

    They meet in the widest of the ``gaps`` within ``slack`` of a part's end, and overlap where
    there is none.
    """
    start = shared = width = 0
    while total - start > most:
        end = start + most
        near = [part for gap in gaps if (part := _within(gap, end - slack, end)).length > 0]
        if near:
            gap = max(near, key=lambda part: (part.length, part.start))
            end = gap.start + gap.length // 2
        yield Span(start, end - start, shared, width)
        shared, width = (0, gap.length) if near else (OVERLAP, 0)
        start = end - shared
    yield Span(start, total - start, shared, width)


def _within(gap: Span, first: int, last: int) -> Span:
    start = max(gap.start, first)
    return Span(start, min(gap.start + gap.length, last) - start)


def tile_height(drawn: Size) -> int:
    """Return how tall the tiles of a page are: a narrow page's as tall as the model takes them."""
    return WIDTH if drawn.width <= STRIP else STRIP


def least_tiles(drawn: Size) -> int:
    """Return about how many tiles a page makes."""
    across = ceil(max(1, drawn.width - OVERLAP) / (WIDTH - OVERLAP))
    height = tile_height(drawn)
    return across * ceil(max(1, drawn.height - OVERLAP) / (height - OVERLAP))


def view(cut: Cut, size: Size) -> View:
    """Return the part of a page of ``size`` that a cut shows."""
    across, down = size.width / cut.drawn.width, size.height / cut.drawn.height
    left, top, width, height = cut.tile
    return View(size, (left * across, top * down, width * across, height * down))
