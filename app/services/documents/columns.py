"""Cuts a page with several columns column by column. Runs in a worker, as it reads pixels.

Adjacent columns whose lines are at different heights leave no row of the page empty, so only a
single column can be cut between its lines.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor

import pyvips

from app.services.documents import ink
from app.services.documents.page import WIDTH, Cut, Slant, Span, Tile
from app.services.documents.rows import Row, overlaps, rows_along, with_shares
from app.services.geometry import Size

GUTTER = 16
"""Minimum width in pixels of the empty gutter between columns of text."""
LEAST = 0.25
"""Minimum share of a page's width for a column of text; table columns are narrower."""

Column = tuple[Span, list[Row]]
"""The horizontal span of a column on the levelled page, and the rows in it."""


def columns(letters: pyvips.Image, slopes: Iterable[float]) -> list[Column]:
    """Return the columns of text of a page; empty if there are fewer than two.

    Of the ``slopes``, the one whose rows overlap least is used.
    """
    candidates = [parts for steep in slopes if (parts := _along(letters, steep))]
    return min(candidates, key=overlapping, default=[])


def overlapping(parts: Sequence[Column]) -> int:
    """Return the number of rows in all columns that overlap the row above."""
    return sum(overlaps(rows) for _, rows in parts)


def _along(letters: pyvips.Image, steep: float) -> list[Column]:
    turned = ink.along(letters, steep)
    gutters = ink.gaps(ink.unruled(turned), GUTTER, down=False)
    middles = [gutter.start + gutter.length // 2 for gutter in gutters]
    least, widest = letters.width * LEAST, WIDTH
    inner = [at for at in middles if least <= at <= turned.width - least]
    spans = [Span(a, b - a) for a, b in pairwise((0, *inner, turned.width))]
    if len(spans) < 2 or any(not least <= span.length <= widest for span in spans):
        return []
    lift = ink.lift(steep, letters.width)
    return [
        (
            span,
            rows_along(
                turned.crop(span.start, 0, span.length, turned.height).copy_memory(),
                Size(span.length, letters.height),
                steep,
                lift,
            ),
        )
        for span in spans
    ]


def cuts(
    page: int, shown: pyvips.Image, dark: pyvips.Image, parts: Sequence[Column]
) -> Iterator[Cut]:
    """Yield the tiles of a page (from 1) that show anything, column by column.

    ``shown`` is 1 where the page shows anything; ``dark`` is its darkness.
    """
    drawn, number = Size(shown.width, shown.height), 0
    for span, rows in parts:
        steep = rows[0].slant.steep
        if overlaps(rows):
            turned = ink.along(dark, steep)
            part = turned.crop(span.start, 0, span.length, turned.height).copy_memory()
            rows = with_shares(rows, part)
        aside = span.start - ink.shift(steep, drawn.height)
        for row in rows:
            slant = row.slant._replace(left=aside, right=aside + span.length)
            tile = _tile(slant, drawn)
            if tile is None:
                continue
            picture = ink.slanted(shown.crop(*tile), tile, slant, [0])
            if picture.max() > 0:
                yield Cut(
                    page, drawn, tile, number, row.span.shared,
                    share_above=row.share, slant=slant if steep else None,
                )  # fmt: skip
                number += 1


def _tile(slant: Slant, drawn: Size) -> Tile | None:
    """Return the smallest tile that contains the area of ``slant``, or None if it is empty."""
    rows = slant.bounds(Span(0, drawn.width), drawn.height)
    for _ in range(2):
        ends = [slant.steep * y for y in (rows.start, rows.start + rows.length)]
        first = max(0, floor(slant.left - max(ends)))
        last = min(drawn.width, ceil(slant.right - min(ends)))
        if last <= first:
            return None
        rows = slant.bounds(Span(first, last - first), drawn.height)
    return Tile(first, rows.start, last - first, rows.length) if rows.length else None
