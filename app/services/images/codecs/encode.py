"""Encodes prepared pixels as PNG or JPEG within a byte budget, deterministically."""

from collections.abc import Iterator

import pyvips
from PIL import Image, ImageChops

from app.domain.errors import ImageOverBudgetError
from app.domain.image import ImageType

PHOTO_QUALITY = 90
"""JPEG quality for photographs. Above it the size grows fast, without a gain for the model, which
reads 560-pixel tiles."""
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
"""Scales and JPEG qualities in the order of trying; quality is reduced first, since scale costs
legibility."""
DIFFERENCES = ((0, 3), (3, 17), (33, 256))
"""Half-open ranges of differences between neighbouring samples: none or JPEG noise, shading and
grain, and the edges of letters and lines."""
FLAT_SHARE = 0.9
"""Minimum share of flat samples for a picture to count as drawn although its few edges are soft."""
SAMPLED_ROWS = 16
"""Interval of sampled rows, which gives a good estimate in half a millisecond."""
ICON = 64
"""Maximum longer side in pixels of an icon, in which JPEG blocks would show and PNG is cheap."""
PNG_EFFORT = 4
"""zlib's level; 6 would take 1.5 times as long and save two per cent."""


def encode(image: pyvips.Image, byte_budget: int) -> tuple[bytes, ImageType, pyvips.Image]:
    """Return the encoded bytes, their type and the encoded pixels, shrunk if the budget is tight.

    Raises `ImageOverBudgetError` if the last attempt is still over ``byte_budget`` bytes.
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
    if max(image.width, image.height) <= ICON or is_drawn(image):
        yield to_png(_without_equal_samples(image)), ImageType.PNG, image
    for scale, quality in LADDER:
        smaller = image if scale == 1 else _shrunk(image, scale)
        yield to_jpeg(smaller, quality), ImageType.JPEG, smaller


def _shrunk(image: pyvips.Image, scale: float) -> pyvips.Image:
    width, height = (max(1, int(side * scale)) for side in (image.width, image.height))
    return image.thumbnail_image(width, height=height, size="force").copy_memory()


def is_drawn(image: pyvips.Image) -> bool:
    """Return whether the picture looks drawn (text, diagrams, screens) rather than photographed.

    Neighbouring pixels of a drawing are equal or very different; those of a photograph differ a
    little nearly everywhere.
    """
    if image.width < 2:
        return True
    rows = image.subsample(1, min(SAMPLED_ROWS, image.height))
    mode = "RGB" if rows.bands == 3 else "L"
    sample = Image.frombytes(mode, (rows.width, rows.height), bytes(rows.write_to_memory()))
    left = sample.crop((0, 0, sample.width - 1, sample.height))
    right = sample.crop((1, 0, sample.width, sample.height))
    histogram = ImageChops.difference(left, right).histogram()
    counts = [sum(histogram[value::256]) for value in range(256)]
    flat, faint, steep = (sum(counts[first:last]) for first, last in DIFFERENCES)
    return steep >= faint or flat >= FLAT_SHARE * sum(counts)


def _without_equal_samples(image: pyvips.Image) -> pyvips.Image:
    """Return a grey RGB picture with one sample per pixel, which takes a third of the bytes."""
    if image.bands != 3:
        return image
    # A few distant rows reveal most coloured pictures at once.
    for part in (image.subsample(1, min(SAMPLED_ROWS, image.height)), image):
        samples = bytes(part.write_to_memory())
        red = samples[::3]
        if red != samples[1::3] or red != samples[2::3]:
            return image
    return image[0].copy(interpretation="b-w")


def to_png(image: pyvips.Image) -> bytes:
    """Encode the picture as PNG without metadata."""
    return bytes(image.pngsave_buffer(compression=PNG_EFFORT, keep="none"))


def to_jpeg(image: pyvips.Image, quality: int = PHOTO_QUALITY) -> bytes:
    """Encode the picture as baseline JPEG with 4:2:0 colour and without metadata."""
    return bytes(image.jpegsave_buffer(Q=quality, subsample_mode="on", keep="none"))
