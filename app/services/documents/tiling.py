"""Cuts a drawn page into tiles where it is empty. Runs in a worker, as it reads pixels."""

from collections.abc import Iterator
from dataclasses import replace

import pyvips

from app.services.documents import columns, ink
from app.services.documents.page import (
    COLUMN_GAP,
    COLUMN_SLACK,
    WIDTH,
    Cut,
    Span,
    Tile,
    spans,
    whole,
)
from app.services.documents.rows import Row, overlaps, rows_along, with_shares
from app.services.geometry import Size

LARGEST = 8_000_000
"""Maximum pixels of a page whose slope and lines are measured, which takes a second of CPU."""


def tiles(page: int, image: pyvips.Image) -> list[Cut]:
    """Return the tiles of a drawn page (from 1), top to bottom and left to right.

    Blank tiles are left out; a blank page is shown whole.
    """
    drawn = Size(image.width, image.height)
    shown, letters = ink.edges(image), ink.letters(image)
    rows = _rows(letters, drawn)
    if overlaps(rows):
        dark, steep = ink.darkness(image), rows[0].slant.steep
        # Lines of two columns may look like one slanting line.
        parts = columns.columns(letters, dict.fromkeys((0.0, steep)))
        if parts and columns.overlapping(parts) <= overlaps(rows):
            return list(columns.cuts(page, shown, dark, parts))
        rows = with_shares(rows, ink.along(dark, steep))
    cuts = [
        cut for at, row in enumerate(rows) for cut in _row(page, drawn, (shown, letters), at, row)
    ]
    return cuts or [whole(page, drawn, 1.0)]


def _rows(letters: pyvips.Image, drawn: Size) -> list[Row]:
    """Return the rows, following the lines of text if these slant."""
    level = rows_along(letters, drawn, 0.0, 0.0)
    if len(level) == 1 or _is_large(drawn) or not (steep := ink.slope(letters)):
        return level
    # A level cut might miss the letters too, but would split a slanting line across two rows.
    turned, lift = ink.along(letters, steep), ink.lift(steep, drawn.width)
    slanting = rows_along(turned, drawn, steep, lift)
    return slanting if overlaps(slanting) <= overlaps(level) else level


def _is_large(drawn: Size) -> bool:
    return drawn.width * drawn.height > LARGEST


def _row(
    page: int, drawn: Size, images: tuple[pyvips.Image, pyvips.Image], number: int, row: Row
) -> Iterator[Cut]:
    band = row.slant.bounds(Span(0, drawn.width), drawn.height)
    if not band.length:
        return
    place = Tile(0, band.start, drawn.width, band.length)
    shown, letters = (ink.slanted(image.crop(*place), place, row.slant, [0]) for image in images)
    gaps = ink.gaps(letters, COLUMN_GAP, down=False)
    parts = list(spans(drawn.width, WIDTH, slack=COLUMN_SLACK, gaps=gaps))
    for column in parts:
        down = row.slant.bounds(column, drawn.height)
        if not down.length:
            continue
        tile = Tile(column.start, down.start, column.length, down.length)
        part = (tile.left, tile.top - band.start, tile.width, tile.height)
        if shown.crop(*part).max() > 0:
            slant = row.slant if row.slant.steep else None
            cut = Cut(
                page, drawn, tile, number, row.span.shared, column.shared, column.gap,
                share_above=row.share, slant=slant,
            )  # fmt: skip
            has_neighbours = parts[1:] and not _is_large(drawn)
            yield replace(cut, lines=_lines(letters.crop(*part), cut)) if has_neighbours else cut


def _lines(letters: pyvips.Image, cut: Cut) -> tuple[Span, ...]:
    corner = round(cut.level(cut.tile.left, cut.tile.top))
    steep = cut.slant.steep if cut.slant else 0.0
    return tuple(Span(corner + line.start, line.length) for line in ink.lines(letters, steep))
