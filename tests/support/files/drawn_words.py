"""Pictures with words at known places."""

import io
from functools import cache

from PIL import Image, ImageDraw, ImageFont

LINE = 60
"""Pixels from one line to the next."""


def lettered(*lines: str, size: tuple[int, int] = (640, 480), scale: int = 1) -> Image.Image:
    """Return lines of text, black on white; all but ``size`` grows with ``scale``."""
    image = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(36 * scale)
    for number, line in enumerate(lines):
        pen.text((40 * scale, (40 + LINE * number) * scale), line, "black", font)
    return image


def place(text: str, line: int, scale: int = 1) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, in pixels, of ``text`` as ``lettered`` draws it."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    at = (40 * scale, (40 + LINE * line) * scale)
    return pen.textbbox(at, text, ImageFont.load_default(36 * scale))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the picture's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def words(*lines: str) -> bytes:
    """Return a PNG of these lines."""
    return encoded(lettered(*lines))
