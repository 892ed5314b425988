"""Draws boxes on a transparent layer for the original picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple
from xml.sax.saxutils import escape

import pybase64
from PIL import Image, ImageDraw, ImageFont

from app.services.geometry import Box, Size

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
MAX_SIDE = 1_600
"""Maximum longer side of a PNG layer in pixels; the layer is scaled to the original."""
LONGEST_LABEL = 60


class Marked(NamedTuple):
    """A labelled box."""

    label: str
    box: Box


def svg(marks: Sequence[Marked], size: Size) -> str:
    """Return the layer as an SVG document in pixels of the original."""
    line = stroke(size)
    shapes = "".join(_shape(mark, size, line, _colour(i)) for i, mark in enumerate(marks))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size.width} {size.height}" '
        f'width="{size.width}" height="{size.height}">{shapes}</svg>'
    )


def _shape(mark: Marked, size: Size, line: int, colour: str) -> str:
    left, top, right, bottom = mark.box.pixels(size)
    text = letters(line)
    baseline = top - line if top > text + line else top + text
    return (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '
        f'fill="none" stroke="{colour}" stroke-width="{line}"/>'
        f'<text x="{left + line}" y="{baseline}" font-family="sans-serif" font-size="{text}" '
        f'fill="{colour}" stroke="white" stroke-width="{line}" paint-order="stroke">'
        f"{escape(_label(mark))}</text>"
    )


def png(marks: Sequence[Marked], size: Size) -> str:
    """Return the layer as a PNG data URI, with at most `MAX_SIDE` pixels on the longer side."""
    scale = min(1.0, MAX_SIDE / max(size))
    drawn = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    layer = Image.new("RGBA", drawn)
    pen, line = ImageDraw.Draw(layer), stroke(drawn)
    font = ImageFont.load_default(letters(line))
    for i, mark in enumerate(marks):
        left, top, right, bottom = mark.box.pixels(drawn)
        pen.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)), None, _colour(i), line
        )
        above = top - letters(line) - 2 * line
        place = (left + line, above if above >= 0 else top + line)
        pen.text(place, _label(mark), _colour(i), font, stroke_width=line, stroke_fill="white")
    file = BytesIO()
    layer.save(file, "PNG")
    return f"data:image/png;base64,{pybase64.b64encode(file.getvalue()).decode()}"


def stroke(size: Size) -> int:
    """Return the width in pixels of a line that is visible on a picture of this size."""
    return max(1, round(max(size) / 400))


def letters(line: int) -> int:
    """Return the height in pixels of letters for lines of this width."""
    return 8 + 4 * line


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _label(mark: Marked) -> str:
    printable = "".join(c if c.isprintable() else " " for c in mark.label)
    return printable if len(printable) <= LONGEST_LABEL else f"{printable[: LONGEST_LABEL - 1]}…"
