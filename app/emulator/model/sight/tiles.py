"""Counts a picture's tokens for an imported Llama 3.2 Vision: tiles of 560 pixels, at most four.

Follows the model's published preparation of pictures: the canvas on which the picture is largest.
"""

TILE = 560
TOKENS_PER_TILE = (TILE // 14) ** 2 + 1
"""Patches of 14 pixels a side, and one for the class."""
_CANVASES = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1))


def tiles(width: int, height: int) -> int:
    """Return the number of tiles that a picture is cut into, 1 to 4."""
    scales = [(min(w * TILE / width, h * TILE / height), w * h) for w, h in _CANVASES]
    enlarging = [(scale, area) for scale, area in scales if scale >= 1]
    if enlarging:
        return min(enlarging)[1]
    best = max(scale for scale, _ in scales)
    return min(area for scale, area in scales if scale == best)


def tokens(width: int, height: int) -> int:
    """Return the tokens of a picture."""
    return tiles(width, height) * TOKENS_PER_TILE
