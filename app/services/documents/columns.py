"""A page of columns cut column by column. Runs in a worker: it looks at pixels.

Lines of columns that stand side by side at different heights leave no row of the page empty, so
that only a column by itself can be cut between its lines.
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
"""Pixels of emptiness, from the top of a page to its foot, that part columns of text."""
LEAST = 0.25
"""The least share of a page's width that is a column of text and not one of a table."""

Column = tuple[Span, list[Row]]
"""Columns of pixels on a page that was turned level, and the rows in them."""


def columns(letters: pyvips.Image, slopes: Iterable[float]) -> list[Column]:
    """Return the columns of text of a page with these letters; none where there are no two.

    Its lines have one of the ``slopes``: the one by which rows overlap least.
    """
    found = [parts for steep in slopes if (parts := _along(letters, steep))]
    return min(found, key=overlapping, default=[])


def overlapping(parts: Sequence[Column]) -> int:
    """Return how many rows of all columns overlap the one above."""
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
    """Yield the tiles of a page (from 1) that show anything, one column after the other.

    ``shown`` has 1 where the page shows anything, ``dark`` is its darkness.
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
    """Return the least tile that holds what lies between the lines, None where nothing does."""
    rows = slant.bounds(Span(0, drawn.width), drawn.height)
    for _ in range(2):
        ends = [slant.steep * y for y in (rows.start, rows.start + rows.length)]
        first = max(0, floor(slant.left - max(ends)))
        last = min(drawn.width, ceil(slant.right - min(ends)))
        if last <= first:
            return None
        rows = slant.bounds(Span(first, last - first), drawn.height)
    return Tile(first, rows.start, last - first, rows.length) if rows.length else None
