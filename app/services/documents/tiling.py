"""A drawn page cut into tiles where it is empty. Runs in a worker: it looks at pixels."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import pyvips

from app.services.documents.page import (
    COLUMN_GAP,
    COLUMN_SLACK,
    ROW_GAP,
    ROW_SLACK,
    WIDTH,
    Cut,
    Span,
    Tile,
    spans,
    tile_height,
    whole,
)
from app.services.geometry import Size

EDGE = 32
"""Difference between neighbouring pixels from which there is ink, of 255. Noise has less."""
RULE_STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Added up, one less than the pixels from which a line of ink is a table's rule and no letter:
cutting through it loses nothing. Doubled, as a run's length is found by halves."""


def tiles(page: int, image: pyvips.Image) -> list[Cut]:
    """Return the tiles of a drawn page (from 1), top to bottom and left to right.

    A tile that shows nothing is left out; an empty page is shown whole.
    """
    drawn = Size(image.width, image.height)
    edges = _edges(image)
    rows = spans(
        drawn.height, tile_height(drawn), slack=ROW_SLACK, gaps=_gaps(edges, ROW_GAP, down=True)
    )
    cuts = [cut for number, row in enumerate(rows) for cut in _row(page, drawn, edges, number, row)]
    return cuts or [whole(page, drawn, 1.0)]


def _row(page: int, drawn: Size, edges: pyvips.Image, number: int, row: Span) -> Iterator[Cut]:
    band = edges.crop(0, row.start, drawn.width, row.length)
    columns = list(
        spans(drawn.width, WIDTH, slack=COLUMN_SLACK, gaps=_gaps(band, COLUMN_GAP, down=False))
    )
    for column in columns:
        if band.crop(column.start, 0, column.length, row.length).max() > 0:
            tile = Tile(column.start, row.start, column.length, row.length)
            yield Cut(page, drawn, tile, number, row.shared, column.shared, column.gap)


def _edges(image: pyvips.Image) -> pyvips.Image:
    """Return 1 where a pixel differs from the one to its left or the one above it, else 0."""
    grey = image.colourspace("b-w") if image.bands > 1 else image
    across, along = ((grey - _moved(grey, *by)).abs() >= EDGE for by in ((1, 0), (0, 1)))
    return ((across | along) & 1).cast("uchar").copy_memory()


def _moved(image: pyvips.Image, right: int, down: int) -> pyvips.Image:
    # Larger and cut, as libvips refuses to move all of a picture out of its frame.
    larger = image.embed(right, down, image.width + right, image.height + down, extend="copy")
    return larger.crop(0, 0, image.width, image.height)


def _gaps(edges: pyvips.Image, least: int, *, down: bool) -> list[Span]:
    """Return the empty runs of rows (``down``) or columns that are ``least`` pixels or more."""
    columns, rows = (edges & (_rules(edges, down=down) ^ 1)).project()
    return [run for run in _runs(_numbers(rows if down else columns)) if run.length >= least]


def _rules(edges: pyvips.Image, *, down: bool) -> pyvips.Image:
    """Return 1 where ink goes on for 128 pixels ``down`` or across, else 0."""
    if (edges.height if down else edges.width) <= sum(RULE_STEPS):
        return edges.new_from_image(0)
    rules = edges
    for step in RULE_STEPS:
        # In memory each time: what is only planned would be worked out again for every step after.
        rules = (rules & _shifted(rules, step, down=down)).copy_memory()
    for step in RULE_STEPS:
        rules = (rules | _shifted(rules, -step, down=down)).copy_memory()
    return rules


def _shifted(image: pyvips.Image, step: int, *, down: bool) -> pyvips.Image:
    left, top = (0, -step) if down else (-step, 0)
    return image.embed(left, top, image.width, image.height)


def _numbers(line: pyvips.Image) -> Sequence[int]:
    return memoryview(line.write_to_memory()).cast("I")


def _runs(counts: Sequence[int]) -> Iterator[Span]:
    start = 0
    for is_empty, run in groupby(counts, key=lambda count: count == 0):
        length = sum(1 for _ in run)
        if is_empty:
            yield Span(start, length)
        start += length
