"""Lays several pictures out on one, labelled 1 to n, for a model that takes only one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from app.domain.errors import ImageDamagedError, TooManyImagesError
from app.domain.image import AnswerWarning, Canvas, ImageLimits, PreparedImage
from app.services.images import canvas
from app.services.images.codecs.encode import encode
from app.services.images.codecs.pixel_transfer import from_pillow
from app.services.images.warnings import legibility

LABEL_HEIGHT = 36
"""Height in pixels of the band with the number above each picture."""
FONT_SIZE = 30
"""Font size that makes digits 21 pixels tall, twice as tall as the model needs."""
GAP = 12
"""Pixels between cells, so that neighbours do not touch."""
BACKGROUND, INK = "white", "black"


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """Several pictures on one sheet in reading order, each below its number from 1."""

    prepared: PreparedImage
    canvas: Canvas
    columns: int
    rows: int
    scales: tuple[float, ...]
    """The scale of each picture on the sheet, at most 1, in the given order."""
    warnings: tuple[AnswerWarning, ...] = ()


class Grid(NamedTuple):
    """The columns and rows of a sheet, and the maximum size in pixels of a cell's picture."""

    columns: int
    rows: int
    width: int
    height: int


def contact_sheet(pictures: Sequence[PreparedImage], limits: ImageLimits) -> ContactSheet:
    """Return a contact sheet of all ``pictures`` within ``limits``.

    The pictures are decoded again, so this belongs in a worker. Raises `TooManyImagesError`,
    `ImageOverBudgetError`, and `ImageDamagedError` if a picture that passed undecoded is broken.
    """
    if not 1 <= len(pictures) <= limits.max_sheet_images:
        raise TooManyImagesError(
            f"A contact sheet takes 1 to {limits.max_sheet_images} pictures; "
            f"{len(pictures)} were given."
        )
    grid = arrange([(picture.width, picture.height) for picture in pictures], limits.max_side)
    sheet = _draw(pictures, grid)
    data, media_type, pixels = encode(from_pillow(sheet), limits.byte_budget)
    shrunk = pixels.width / sheet.width
    scales = tuple(_scale(p.width, p.height, grid) * shrunk for p in pictures)
    return ContactSheet(
        prepared=PreparedImage(
            data, media_type, pixels.width, pixels.height, sha256(data).hexdigest()
        ),
        canvas=canvas.choose(pixels.width, pixels.height),
        columns=grid.columns,
        rows=grid.rows,
        scales=scales,
        warnings=tuple(legibility(min(scales))),
    )


def arrange(sizes: Sequence[tuple[int, int]], side: int) -> Grid:
    """Return the grid on a square of ``side`` pixels that has the largest minimum scale.

    Of equal grids, the one with the fewest empty cells is chosen, then the one closest to a square.
    """
    return max(
        _grids(len(sizes), side),
        key=lambda grid: (
            min(_scale(*size, grid) for size in sizes),
            -grid.columns * grid.rows,
            -abs(grid.columns - grid.rows),
        ),
    )


def _grids(count: int, side: int) -> Iterator[Grid]:
    for columns in range(1, count + 1):
        rows = ceil(count / columns)
        yield Grid(
            columns,
            rows,
            (side - GAP * (columns + 1)) // columns,
            (side - GAP * (rows + 1)) // rows - LABEL_HEIGHT,
        )


def _scale(width: int, height: int, grid: Grid) -> float:
    return min(1.0, grid.width / width, grid.height / height)


def _draw(pictures: Sequence[PreparedImage], grid: Grid) -> Image.Image:
    sizes = [_cell_size(picture, grid) for picture in pictures]
    # Columns and rows fit their pictures, since white margins only waste the model's pixels.
    across = _edges(max(w for w, _ in sizes[at :: grid.columns]) for at in range(grid.columns))
    starts = range(0, len(sizes), grid.columns)
    down = _edges(max(h for _, h in sizes[at : at + grid.columns]) + LABEL_HEIGHT for at in starts)
    sheet = Image.new("RGB", (across[-1], down[-1]), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for index, (picture, size) in enumerate(zip(pictures, sizes, strict=True)):
        x, y = across[index % grid.columns], down[index // grid.columns]
        pen.text((x, y), str(index + 1), fill=INK, font=font)
        sheet.paste(_open(picture, size), (x, y + LABEL_HEIGHT))
    return sheet


def _edges(lengths: Iterable[int]) -> list[int]:
    """Return the start of each column or row and the end of the last, with gaps around them."""
    return list(accumulate((max(length, LABEL_HEIGHT) + GAP for length in lengths), initial=GAP))


def _cell_size(picture: PreparedImage, grid: Grid) -> tuple[int, int]:
    scale = _scale(picture.width, picture.height, grid)
    return max(1, int(picture.width * scale)), max(1, int(picture.height * scale))


def _open(picture: PreparedImage, size: tuple[int, int]) -> Image.Image:
    kind = picture.media_type.short_name.upper()
    try:
        with Image.open(BytesIO(picture.data), formats=[kind]) as opened:
            return opened.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageDamagedError(f"The {kind} can't be decoded.") from error
