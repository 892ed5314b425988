"""Cuts a drawn page into rows of tiles. Runs in a worker, as it reads pixels."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import pyvips

from app.services.documents import ink
from app.services.documents.page import ROW_GAP, ROW_SLACK, WIDTH, Slant, Span, spans, tile_height
from app.services.geometry import Size

FAINT = 0.01
"""Minimum share of its ink that a row has in common with an overlapping row."""


class Row(NamedTuple):
    """A row of tiles, level or slanting like the lines of the page."""

    span: Span
    """Its pixel rows on the levelled page."""
    slant: Slant
    share: float = 0.0
    """Share of its ink that the row above also shows, 0 to 1."""


def overlaps(rows: Sequence[Row]) -> int:
    """Return the number of rows that overlap the row above."""
    return sum(row.span.shared > 0 for row in rows)


def rows_along(turned: pyvips.Image, size: Size, steep: float, lift: float) -> list[Row]:
    """Return the rows of a page or column of ``size``, whose levelled letters are ``turned``.

    ``lift`` is how many pixels its top left corner moved down by levelling.
    """
    most = tile_height(size) - ceil(abs(steep) * min(size.width, WIDTH))
    gaps = ink.gaps(turned, ROW_GAP, down=True)
    return [
        Row(span, Slant(steep, span.start - lift, span.start + span.length - lift))
        for span in spans(turned.height, most, slack=ROW_SLACK, gaps=gaps)
    ]


def with_shares(rows: Sequence[Row], turned: pyvips.Image) -> list[Row]:
    """Return rows with their shares, computed from the page's levelled darkness ``turned``."""
    depths = ink.profile(turned)
    ends = ((row.span.start, row.span.start + row.span.length) for row in rows)
    return [
        row._replace(share=_share(depths[start:end], row.span.shared))
        for row, (start, end) in zip(rows, ends, strict=True)
    ]


def _share(depths: Sequence[int], shared: int) -> float:
    """Return the share of a row's ink that is in its first ``shared`` pixels."""
    if not shared:
        return 0.0
    # The darkness of the lightest fifth of the rows is the paper's texture.
    texture = sorted(depths)[len(depths) // 5]
    texts = [max(0, depth - texture) for depth in depths]
    total = sum(texts)
    # Never 0, since a faint line may still be in both rows of tiles.
    return max(FAINT, sum(texts[:shared]) / total) if total else shared / len(depths)
