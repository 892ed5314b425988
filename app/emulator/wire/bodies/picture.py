"""The contract's rules for one picture, checked on its bytes and header only."""

import io
import warnings
from hashlib import sha256

import pybase64
from PIL import Image

from app.emulator.wire.bodies.conversation import Picture
from app.emulator.wire.errors import invalid, refused_by_model

MAX_BYTES = int(3.75 * 1024 * 1024)
MAX_SIDE = 1120
FORMATS = ("png", "jpeg", "gif", "webp")


def from_base64(encoded: str, where: str) -> bytes:
    """Return the bytes of a plain base64 string: no data URI, no line breaks, right padding."""
    try:
        return pybase64.b64decode(encoded, validate=True)
    except ValueError:
        raise refused_by_model(f"{where}: the image is not valid base64") from None


def checked(
    data: bytes,
    where: str,
    declared: str | None = None,
    *,
    most_bytes: int = MAX_BYTES,
    most_side: int = MAX_SIDE,
) -> Picture:
    """Return the picture, or raise the 400 that names the broken rule.

    ``declared`` is Converse's ``format`` or a data URI's, which must agree with the bytes.
    """
    if not data:
        raise refused_by_model(f"{where}: the image is empty")
    if len(data) > most_bytes:
        raise refused_by_model(
            f"{where}: image exceeds 3.75 MB maximum: {len(data)} bytes > {most_bytes}"
        )
    detected, width, height = _header(data, where)
    if declared is not None and declared != detected:
        raise invalid(
            f"The provided image does not match the specified image format. Declared: {declared},"
            f" found: {detected} ({where})"
        )
    if max(width, height) > most_side:
        raise refused_by_model(
            f"{where}: image dimensions {width}x{height} exceed the maximum of"
            f" {most_side}x{most_side} pixels"
        )
    return Picture(data, sha256(data).hexdigest(), detected, width, height)


def _header(data: bytes, where: str) -> tuple[str, int, int]:
    try:
        with warnings.catch_warnings():
            # Its size is judged by the rule above, in AWS's words.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return str(image.format).lower(), image.width, image.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise refused_by_model(f"{where}: could not process image") from None
