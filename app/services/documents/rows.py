"""Rows of tiles: where a drawn page is cut across. Runs in a worker: it looks at pixels."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import pyvips

from app.services.documents import ink
from app.services.documents.page import ROW_GAP, ROW_SLACK, WIDTH, Slant, Span, spans, tile_height
from app.services.geometry import Size

FAINT = 0.01
"""The least share of its ink that a row has in common with one that it overlaps."""


class Row(NamedTuple):
    """A row of tiles, level or as the lines of the page slant."""

    span: Span
    """Its rows of pixels, on a page that was turned level."""
    slant: Slant
    share: float = 0.0
    """Share of its ink that the row above shows too, 0 to 1."""


def overlaps(rows: Sequence[Row]) -> int:
    """Return how many of the rows overlap the one above."""
    return sum(row.span.shared > 0 for row in rows)


def rows_along(turned: pyvips.Image, size: Size, steep: float, lift: float) -> list[Row]:
    """Return the rows of a page or a column of it, of ``size``, whose letters were ``turned``.

    ``lift`` is how far down its top left corner came then, in pixels.
    """
    most = tile_height(size) - ceil(abs(steep) * min(size.width, WIDTH))
    gaps = ink.gaps(turned, ROW_GAP, down=True)
    return [
        Row(span, Slant(steep, span.start - lift, span.start + span.length - lift))
        for span in spans(turned.height, most, slack=ROW_SLACK, gaps=gaps)
    ]


def with_shares(rows: Sequence[Row], turned: pyvips.Image) -> list[Row]:
    """Return rows with their shares, by the darkness of the page, ``turned`` as they are."""
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
    # As much as one line of pixels in five has at most is the paper's texture and no text.
    texture = sorted(depths)[len(depths) // 5]
    texts = [max(0, depth - texture) for depth in depths]
    total = sum(texts)
    # Never nothing: a faint line may be in both rows of tiles all the same.
    return max(FAINT, sum(texts[:shared]) / total) if total else shared / len(depths)
