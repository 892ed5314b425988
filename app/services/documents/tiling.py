"""A drawn page cut into tiles where it is empty. Runs in a worker: it looks at pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import NamedTuple

import pyvips

from app.services.documents import ink
from app.services.documents.page import (
    COLUMN_GAP,
    COLUMN_SLACK,
    ROW_GAP,
    ROW_SLACK,
    WIDTH,
    Cut,
    Slant,
    Span,
    Tile,
    spans,
    tile_height,
    whole,
)
from app.services.geometry import Size

LARGEST = 8_000_000
"""Pixels of a page up to which slopes and levels of lines are looked for, which takes a second of
CPU."""
FAINT = 0.01
"""The least share of its ink that a row has in common with one that it overlaps."""


class _Row(NamedTuple):
    """A row of tiles, level or as the lines of the page slant."""

    span: Span
    slant: Slant
    share: float = 0.0
    """Share of its ink that the row above shows too, 0 to 1."""


def tiles(page: int, image: pyvips.Image) -> list[Cut]:
    """Return the tiles of a drawn page (from 1), top to bottom and left to right.

    A tile that shows nothing is left out; an empty page is shown whole.
    """
    drawn = Size(image.width, image.height)
    shown, letters = ink.edges(image), ink.letters(image)
    rows = _rows(letters, drawn)
    if _overlaps(rows):
        rows = _with_shares(rows, ink.darkness(image))
    cuts = [
        cut for at, row in enumerate(rows) for cut in _row(page, drawn, (shown, letters), at, row)
    ]
    return cuts or [whole(page, drawn, 1.0)]


def _rows(letters: pyvips.Image, drawn: Size) -> list[_Row]:
    """Return the rows, along the lines of text where these slant."""
    level = _rows_along(letters, drawn, 0.0)
    if len(level) == 1 or _is_large(drawn) or not (steep := ink.slope(letters)):
        return level
    # A level cut may miss the letters all the same, and part the halves of a line in two rows.
    slanting = _rows_along(letters, drawn, steep)
    return slanting if _overlaps(slanting) <= _overlaps(level) else level


def _is_large(drawn: Size) -> bool:
    return drawn.width * drawn.height > LARGEST


def _overlaps(rows: Sequence[_Row]) -> int:
    return sum(row.span.shared > 0 for row in rows)


def _rows_along(letters: pyvips.Image, drawn: Size, steep: float) -> list[_Row]:
    turned = ink.along(letters, steep)
    most = tile_height(drawn) - ceil(abs(steep) * min(drawn.width, WIDTH))
    gaps = ink.gaps(turned, ROW_GAP, down=True)
    lift = ink.lift(steep, drawn.width)
    return [
        _Row(span, Slant(steep, span.start - lift, span.start + span.length - lift))
        for span in spans(turned.height, most, slack=ROW_SLACK, gaps=gaps)
    ]


def _with_shares(rows: Sequence[_Row], dark: pyvips.Image) -> list[_Row]:
    depths = ink.profile(ink.along(dark, rows[0].slant.steep))
    ends = ((row.span.start, row.span.start + row.span.length) for row in rows)
    return [
        row._replace(share=_share(depths[start:end], row.span.shared))
        for row, (start, end) in zip(rows, ends, strict=True)
    ]


def _share(depths: Sequence[int], shared: int) -> float:
    """Return the share of a row's ink that is in its first ``shared`` pixels."""
    if not shared:
        return 0.0
    # As much as one line of pixels in five has at most is the paper's texture and no text.
    texture = sorted(depths)[len(depths) // 5]
    texts = [max(0, depth - texture) for depth in depths]
    total = sum(texts)
    # Never nothing: a faint line may be in both rows of tiles all the same.
    return max(FAINT, sum(texts[:shared]) / total) if total else shared / len(depths)


def _row(
    page: int, drawn: Size, images: tuple[pyvips.Image, pyvips.Image], number: int, row: _Row
) -> Iterator[Cut]:
    band = row.slant.bounds(Span(0, drawn.width), drawn.height)
    if not band.length:
        return
    place = Tile(0, band.start, drawn.width, band.length)
    shown, letters = (ink.slanted(image.crop(*place), place, row.slant, [0]) for image in images)
    gaps = ink.gaps(letters, COLUMN_GAP, down=False)
    columns = list(spans(drawn.width, WIDTH, slack=COLUMN_SLACK, gaps=gaps))
    for column in columns:
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
            told = columns[1:] and not _is_large(drawn)
            yield replace(cut, lines=_lines(letters.crop(*part), cut)) if told else cut


def _lines(letters: pyvips.Image, cut: Cut) -> tuple[Span, ...]:
    corner = round(cut.level(cut.tile.left, cut.tile.top))
    steep = cut.slant.steep if cut.slant else 0.0
    return tuple(Span(corner + line.start, line.length) for line in ink.lines(letters, steep))
