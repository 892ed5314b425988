"""Selects pages and computes their tiles. Pure arithmetic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Literal, NamedTuple

from app.services.geometry import Size, View

WIDTH = 1_120
"""Longer side in pixels of a page shown whole, and maximum width of a tile."""
STRIP = 560
"""Height of a tile in pixels, the same as of the model's own tiles; its text fits one answer."""
OVERLAP = 120
"""Pixels shared by neighbouring tiles without empty space between them: four lines of a letter,
three of them complete."""
ROW_GAP, COLUMN_GAP = 4, 8
"""Minimum empty pixels for a cut between lines and between words."""
ROW_SLACK, COLUMN_SLACK = 200, 320
"""Pixels before a tile's maximum end that are searched for empty space."""

Detail = Literal["auto", "high"]


class PageRangeError(ValueError):
    """A page range can't be used."""


class Tile(NamedTuple):
    """A rectangle of a page, in pixels of the drawn page."""

    left: int
    top: int
    width: int
    height: int


class Span(NamedTuple):
    """A part of one side of a page, in pixels of the drawn page."""

    start: int
    length: int
    shared: int = 0
    """Pixels shared with the previous span."""
    gap: int = 0
    """Empty pixels around the border to the previous span if they share none."""


class Slant(NamedTuple):
    """An area between slanting lines, in pixels.

    ``top <= y - steep * x < bottom``, and in one column ``left <= x + steep * y < right``.
    """

    steep: float
    """Pixels down per pixel to the right."""
    top: float
    bottom: float
    left: float = -inf
    right: float = inf

    def bounds(self, columns: Span, height: int) -> Span:
        """Return the rows of a page of ``height`` that contain the area within these columns."""
        across = [self.steep * x for x in (columns.start, columns.start + columns.length)]
        first = max(0, floor(self.top + min(across)))
        last = min(height, ceil(self.bottom + max(across)))
        return Span(first, max(0, last - first))


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a page to draw."""

    page: int
    """The page's number in the document, from 1."""
    drawn: Size
    """The size of the whole drawn page in pixels."""
    tile: Tile
    row: int = 0
    """The number of its row of tiles, from 0."""
    shared_above: int = 0
    """Pixels shared with the row of tiles above."""
    shared_left: int = 0
    """Pixels shared with the tile to the left."""
    gap_left: int = 0
    """Empty pixels around the border to the tile on the left if they share none."""
    share_above: float | None = None
    """Share of its row's ink that the row of tiles above shows too, 0 to 1; None if only
    the pixels are known."""
    slant: Slant | None = None
    """The part of the tile that is shown if lines of text slant; None for all of it."""
    lines: tuple[Span, ...] = ()
    """The probable lines of a tile with others beside it, in rows as returned by `level`."""

    def level(self, x: float, y: float) -> float:
        """Return the row of a pixel of the page after the page was turned so that lines are level.

        All pixels of one line of text have the same row.
        """
        return y - x * self.slant.steep if self.slant else y

    @property
    def is_whole(self) -> bool:
        """Return whether the whole page is shown."""
        return self.tile == (0, 0, *self.drawn)


@dataclass(frozen=True, slots=True)
class Origin:
    """The file and page that an image shows."""

    file: str = "images.0"
    """Location of the file in the request."""
    number: int = 1
    """The number of the page in its file, from 1."""
    size: Size | None = None
    """The page's size in points for a PDF, else in upright pixels; None if unknown."""
    cut: Cut | None = None
    """The part of the page that is shown; None for an image shown whole."""
    text: str | None = None
    """The page's text layer, if it was requested and exists."""


def selected(text: str | None, count: int) -> tuple[int, ...]:
    """Return the page numbers, from 1, that a range such as ``1-3,5`` or ``2-`` selects.

    None selects all ``count`` pages. Raises PageRangeError.
    """
    if text is None:
        return tuple(range(1, count + 1))
    chosen = dict.fromkeys(page for part in text.split(",") for page in _part(part, count))
    return tuple(sorted(chosen))


def _part(part: str, count: int) -> range:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    start = int(first)
    stop = int(last) if last else (count if dash else start)
    if start < 1 or (last and stop < start):
        raise PageRangeError(f"{part.strip()} is not a range; pages count from 1")
    if stop > count or start > count:
        raise PageRangeError(f"{part.strip()} is out of range: the document has {count} page(s)")
    return range(start, stop + 1)


def whole(page: int, size: Size, sharpest: float) -> Cut:
    """Return a cut with all of ``page`` (from 1), as large as the model takes it.

    ``sharpest`` is the maximum number of pixels per unit of ``size``.
    """
    drawn = scaled(size, min(WIDTH / max(size), sharpest))
    return Cut(page, drawn, Tile(0, 0, *drawn))


def scaled(size: Size, scale: float) -> Size:
    """Return ``size`` times ``scale``, rounded down to whole pixels, at least one."""
    return Size(max(1, int(size.width * scale)), max(1, int(size.height * scale)))


def in_tiles(size: Size, sharpest: float) -> Size:
    """Return the drawn size of a page shown in tiles, whose shorter side fills a tile."""
    return scaled(size, min(WIDTH / min(size), sharpest))


def spans(total: int, most: int, *, slack: int, gaps: Sequence[Span] = ()) -> Iterator[Span]:
    """Yield parts of at most ``most`` pixels that cover a side of ``total`` pixels.

    Parts meet in the widest of the ``gaps`` within ``slack`` of the maximum end, and overlap if
    there is no gap.
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
    """Return the height of a page's tiles, which is greater for a narrow page."""
    return WIDTH if drawn.width <= STRIP else STRIP


def least_tiles(drawn: Size) -> int:
    """Return the approximate number of tiles of a page."""
    across = ceil(max(1, drawn.width - OVERLAP) / (WIDTH - OVERLAP))
    height = tile_height(drawn)
    return across * ceil(max(1, drawn.height - OVERLAP) / (height - OVERLAP))


def view(cut: Cut, size: Size) -> View:
    """Return the view of a page of ``size`` that ``cut`` shows."""
    across, down = size.width / cut.drawn.width, size.height / cut.drawn.height
    left, top, width, height = cut.tile
    return View(size, (left * across, top * down, width * across, height * down))
