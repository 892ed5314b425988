"""Llama 3.2 Vision's choice of a canvas, and the size at which a picture is prepared.

Source: Meta's image processor (``get_optimal_tiled_canvas`` and ``get_image_size_fit_to_canvas`` in
its published code), with at most four 560-pixel tiles.
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


@lru_cache(maxsize=1024)  # called several times per picture, and cameras have few sizes
def choose(width: int, height: int) -> Canvas:
    """Return Llama's canvas for a picture of this size in pixels.

    The canvas with the smallest enlargement is chosen, or the one with the least shrinking if all
    of them shrink the picture; of equal ones, the smallest area.
    """
    scales = {canvas: _scale(width, height, canvas) for canvas in CANVASES}
    enlarging = [scale for scale in scales.values() if scale >= 1]
    best = min(enlarging) if enlarging else max(scales.values())
    return min((c for c, scale in scales.items() if scale == best), key=lambda c: c.tiles)


def fit(width: int, height: int, canvas: Canvas) -> tuple[int, int]:
    """Return the size in pixels of a picture on ``canvas``; a side may be 0."""
    target_width = min(max(width, TILE), canvas.columns * TILE)
    target_height = min(max(height, TILE), canvas.rows * TILE)
    across, down = target_width / width, target_height / height
    if across < down:
        return target_width, min(floor(height * across), target_height)
    return min(floor(width * down), target_width), target_height


def target(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return the size in pixels for preparing an upright picture, which is never enlarged.

    It fits the picture's canvas and ``max_side``. A side is 0 if the picture is too narrow.
    """
    canvas = choose(width, height)
    most_across = min(canvas.columns * TILE, max_side)
    most_down = min(canvas.rows * TILE, max_side)
    if width <= most_across and height <= most_down:
        return width, height
    # Uses integers, unlike `fit`, since with floats 2200 x 1100 would be one row short.
    if most_across * height <= most_down * width:
        return most_across, height * most_across // width
    return width * most_down // height, most_down


def _scale(width: int, height: int, canvas: Canvas) -> float:
    return min(canvas.columns * TILE / width, canvas.rows * TILE / height)
