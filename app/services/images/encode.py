"""Write prepared pixels as PNG or JPEG within a byte budget, the same bytes every time."""

from collections.abc import Iterator

import pyvips

from app.domain.errors import ImageOverBudgetError
from app.domain.image import ImageType

PHOTO_QUALITY = 90
"""Above this JPEG's size grows fast and the model, which reads 560-pixel tiles, gains nothing."""
LADDER: tuple[tuple[float, int], ...] = (
    (1.0, PHOTO_QUALITY),
    (1.0, 80),
    (1.0, 65),
    (1.0, 50),
    (0.75, 65),
    (0.5, 65),
    (0.35, 60),
    (0.25, 50),
)
"""Scale and JPEG quality, tried in order. Quality goes first: size costs legibility."""
DIFFERENCES = ((0, 3), (3, 17), (33, 256))
"""Differences between neighbouring samples, as half-open ranges: nothing or JPEG's own noise;
shading and grain; the edges of letters and lines."""
FLAT_SHARE = 0.9
"""From here on a picture counts as drawn although its few edges are soft."""
SAMPLED_ROWS = 4
"""Every fourth row is looked at."""
PNG_EFFORT = 6
"""zlib's level: 9 takes three times as long for two per cent."""


def encode(image: pyvips.Image, byte_budget: int) -> tuple[bytes, ImageType, pyvips.Image]:
    """The picture's bytes, their type and the pixels they hold (smaller where the budget is tight).

    Raises `ImageOverBudgetError` where the last step is still over ``byte_budget`` bytes.
    """
    smallest = 0
    for data, media_type, pixels in _attempts(image):
        if len(data) <= byte_budget:
            return data, media_type, pixels
        smallest = len(data)
    raise ImageOverBudgetError(
        f"The picture needs {smallest} bytes at the smallest size that is still of use; "
        f"the budget is {byte_budget} bytes."
    )


def _attempts(image: pyvips.Image) -> Iterator[tuple[bytes, ImageType, pyvips.Image]]:
    if is_drawn(image):
        yield to_png(image), ImageType.PNG, image
    for scale, quality in LADDER:
        smaller = image if scale == 1 else _shrunk(image, scale)
        yield to_jpeg(smaller, quality), ImageType.JPEG, smaller


def _shrunk(image: pyvips.Image, scale: float) -> pyvips.Image:
    width, height = (max(1, int(side * scale)) for side in (image.width, image.height))
    return image.thumbnail_image(width, height=height, size="force").copy_memory()


def is_drawn(image: pyvips.Image) -> bool:
    """Whether the picture looks drawn (text, diagrams, screens) and not photographed.

    Neighbouring pixels of a drawing are equal or far apart; those of a photograph differ a
    little nearly everywhere.
    """
    if image.width < 2:
        return True
    rows = image.subsample(1, min(SAMPLED_ROWS, image.height))
    left = rows.crop(0, 0, image.width - 1, rows.height)
    right = rows.crop(1, 0, image.width - 1, rows.height)
    counts = _histogram((left - right).abs().cast("uchar"))
    flat, faint, steep = (sum(counts[first:last]) for first, last in DIFFERENCES)
    return steep >= faint or flat >= FLAT_SHARE * sum(counts)


def _histogram(image: pyvips.Image) -> list[int]:
    """How often each value from 0 to 255 occurs, over all bands."""
    bands = memoryview(image.hist_find().write_to_memory()).cast("B").cast("I").tolist()
    return [sum(bands[value : value + image.bands]) for value in range(0, len(bands), image.bands)]


def to_png(image: pyvips.Image) -> bytes:
    """The picture as PNG, without metadata."""
    return bytes(image.pngsave_buffer(compression=PNG_EFFORT, keep="none"))


def to_jpeg(image: pyvips.Image, quality: int = PHOTO_QUALITY) -> bytes:
    """The picture as baseline JPEG, without metadata."""
    return bytes(image.jpegsave_buffer(Q=quality, keep="none"))
