"""Makes a small JPEG of a picture, to be shown beside an answer about it."""

from io import BytesIO

from PIL import Image

from app.domain.errors import ImageDamagedError

SIDE = 160
"""Maximum longer side in pixels."""
QUALITY = 70


def thumbnail(data: bytes) -> bytes:
    """Return a small JPEG of a prepared picture, or raise ImageDamagedError.

    The picture is decoded, so this belongs in a worker.
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
