"""Llama 3.2 Vision's choice of canvas, and the size a picture is prepared at.

The rules are those of Meta's own image processor (``get_optimal_tiled_canvas`` and
``get_image_size_fit_to_canvas`` in its published source): 560-pixel tiles, four at most.
"""

from functools import lru_cache
from math import floor

from app.domain.image import Canvas

TILE = 560
MAX_TILES = 4
CANVASES = tuple(
    Canvas(columns, rows)
    for columns in range(1, MAX_TILES + 1)
    for rows in range(1, MAX_TILES + 1)
    if columns * rows <= MAX_TILES
)


@lru_cache(maxsize=1024)  # asked several times a picture, and cameras have few sizes
def choose(width: int, height: int) -> Canvas:
    """The canvas that Llama lays a picture of this size (pixels) on.

    The smallest enlargement wins; where every canvas shrinks the picture, the mildest
    shrinking; of equal ones the smallest area.
    """
    scales = {canvas: _scale(width, height, canvas) for canvas in CANVASES}
    enlarging = [scale for scale in scales.values() if scale >= 1]
    best = min(enlarging) if enlarging else max(scales.values())
    return min((c for c, scale in scales.items() if scale == best), key=lambda c: c.tiles)


def fit(width: int, height: int, canvas: Canvas) -> tuple[int, int]:
    """The size (pixels) that Llama gives a picture on ``canvas``; a side may come out as 0."""
    target_width = min(max(width, TILE), canvas.columns * TILE)
    target_height = min(max(height, TILE), canvas.rows * TILE)
    across, down = target_width / width, target_height / height
    if across < down:
        return target_width, min(floor(height * across), target_height)
    return min(floor(width * down), target_width), target_height


def target(width: int, height: int, max_side: int) -> tuple[int, int]:
    """The size (pixels) to prepare an upright picture at: its canvas, capped, never enlarged.

    A side is 0 where the picture is so narrow that nothing would be left of it.
    """
    canvas = choose(width, height)
    most_across = min(canvas.columns * TILE, max_side)
    most_down = min(canvas.rows * TILE, max_side)
    if width <= most_across and height <= most_down:
        return width, height
    # Integers only, unlike `fit`: in floats 2200 x 1100 comes out one row short.
    if most_across * height <= most_down * width:
        return most_across, height * most_across // width
    return width * most_down // height, most_down


def _scale(width: int, height: int, canvas: Canvas) -> float:
    return min(canvas.columns * TILE / width, canvas.rows * TILE / height)
