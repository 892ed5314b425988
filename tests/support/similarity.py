"""How alike two pictures look."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LUMINANCE, CONTRAST = 6.5025, 58.5225
"""The measure's usual constants for eight bits: (0.01 * 255)^2 and (0.03 * 255)^2."""


def similarity(one: bytes, other: bytes) -> float:
    """Mean structural similarity (SSIM) of two pictures of one size, in grey, by 8 x 8 blocks."""
    a, b = _blocks(one), _blocks(other)
    mean_a, mean_b = a.mean(-1), b.mean(-1)
    covariance = (a * b).mean(-1) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + LUMINANCE) * (2 * covariance + CONTRAST)
    spread = (mean_a**2 + mean_b**2 + LUMINANCE) * (a.var(-1) + b.var(-1) + CONTRAST)
    return float((likeness / spread).mean())


def _blocks(data: bytes) -> NDArray[np.float64]:
    with Image.open(BytesIO(data)) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
    height, width = (side // 8 * 8 for side in grey.shape)
    grid = grey[:height, :width].reshape(height // 8, 8, width // 8, 8)
    return grid.transpose(0, 2, 1, 3).reshape(-1, 64)
