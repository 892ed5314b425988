"""Lay several pictures out on one, labelled 1 to n, for a model that takes only one."""

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
from app.services.images.encode import encode
from app.services.images.pixel_transfer import from_pillow
from app.services.images.warnings import legibility

LABEL_HEIGHT = 36
"""Pixels of the band over each picture that holds its number."""
FONT_SIZE = 30
"""Digits come out 21 pixels tall: twice what the model needs to read them."""
GAP = 12
"""Pixels between cells, so that neighbours don't run into one another."""
BACKGROUND, INK = "white", "black"


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """Several pictures on one, in reading order, each under its number from 1."""

    prepared: PreparedImage
    canvas: Canvas
    columns: int
    rows: int
    scales: tuple[float, ...]
    """How far each picture was scaled down on the sheet, at most 1, in the order given."""
    warnings: tuple[AnswerWarning, ...] = ()


class Grid(NamedTuple):
    """Columns and rows, and the room in pixels for the picture in each cell."""

    columns: int
    rows: int
    width: int
    height: int


def contact_sheet(pictures: Sequence[PreparedImage], limits: ImageLimits) -> ContactSheet:
    """One picture of all ``pictures``, within ``limits``.

    Decodes them again, so it belongs in a worker. Raises `TooManyImagesError`,
    `ImageDamagedError` where a picture that went through undecoded turns out to be broken,
    and `ImageOverBudgetError`.
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
    """The grid on a square of ``side`` pixels that shrinks the worst-off picture least.

    Of equal ones the one with the fewest empty cells, then the one nearest to a square.
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
    # Columns and rows as narrow as their pictures: white margins only cost the model pixels.
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
    """Return where each column or row begins, and where all end, with gaps around them."""
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
