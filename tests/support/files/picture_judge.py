"""Checks a prepared picture with a decoder that had no part in making it."""

from hashlib import sha256
from io import BytesIO

from PIL import Image

from app.domain.image import ImageLimits, ImageReport, PreparedImage

MODES = frozenset({"1", "L", "P", "RGB"})
"""Grey or RGB with at most eight bits per sample and no transparency."""
HARMLESS = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression"}
)
"""What Pillow reports of every file; anything else is metadata."""
ENDINGS = {"image/jpeg": b"\xff\xd9", "image/png": b"IEND\xae\x42\x60\x82"}


def judge_picture(prepared: PreparedImage, limits: ImageLimits) -> Image.Image:
    """Assert that the picture meets the model's contract, and return it decoded."""
    data = prepared.data
    with Image.open(BytesIO(data)) as picture:
        picture.load()
    assert Image.MIME[picture.format or ""] == prepared.media_type
    assert picture.size == (prepared.width, prepared.height)
    assert min(picture.size) >= 1
    assert max(picture.size) <= limits.max_side
    assert len(data) <= limits.byte_budget
    assert getattr(picture, "n_frames", 1) == 1
    assert picture.mode in MODES
    assert not picture.has_transparency_data
    assert not set(picture.info) - HARMLESS - {"adobe", "adobe_transform"}
    assert not picture.getexif()
    assert data.endswith(ENDINGS[prepared.media_type])
    assert prepared.sha256 == sha256(data).hexdigest()
    return picture


def judge(report: ImageReport, limits: ImageLimits) -> Image.Image:
    """Assert that the prepared picture meets the contract and matches its report."""
    assert 0 < report.scale <= 1
    assert 1 <= report.canvas.tiles <= 4
    return judge_picture(report.prepared, limits)
