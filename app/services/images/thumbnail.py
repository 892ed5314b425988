"""A small JPEG of a picture, to be shown beside what is said of it."""

from io import BytesIO

from PIL import Image

from app.domain.errors import ImageDamagedError

SIDE = 160
"""Pixels of the longer side, at most."""
QUALITY = 70


def thumbnail(data: bytes) -> bytes:
    """Return a small JPEG of a prepared picture, or raise ImageDamagedError.

    Decodes it, so it belongs in a worker.
    """
    try:
        with Image.open(BytesIO(data), formats=["JPEG", "PNG", "GIF", "WEBP"]) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            small = opened.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        written = BytesIO()
        small.save(written, "JPEG", quality=QUALITY, optimize=True)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageDamagedError("The picture can't be decoded.") from error
    return written.getvalue()
