"""Boxes as the model writes them and as results return them."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from app.services.answers.lenient import Share, notes_of
from app.services.answers.schemas.conform import folded
from app.services.answers.text.numbers import Hints, NumberError, number
from app.services.answers.text.words import NO_NUMBER, nothing
from app.services.deferred_model import DeferredModel
from app.services.geometry import Box, Size, View
from app.services.images.drawing import overlay

Overlay = Annotated[
    Literal["none", "svg", "png"],
    Field(
        description="A transparent layer with the boxes drawn on it, to be laid over the original: "
        "`svg` as text, `png` as a data URI."
    ),
]


def _sided(sides: list[float]) -> list[float]:
    left, top, right, bottom = sides
    if left >= right or top >= bottom:
        raise ValueError("a box is [left, top, right, bottom] with left < right and top < bottom")
    return sides


_CORNERS = (
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
)
_EXTENTS = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
)


def _cornered(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Convert named sides to a list, and a width and height to a right and bottom."""
    if isinstance(value, str):
        return [side.strip() for side in value.strip("[] ").split(",")]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return value[0]
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(p, list) and len(p) == 2 for p in value)
    ):
        return [side for corner in value for side in corner]
    if not isinstance(value, dict):
        return value
    sides = {folded(key): side for key, side in value.items()}
    for names in _CORNERS:
        if all(name in sides for name in names):
            return [sides[name] for name in names]
    for names in _EXTENTS:
        if all(name in sides for name in names):
            return _from_extent([sides[name] for name in names])
    return value


def _from_extent(extent: list[Any]) -> list[Any]:
    """Convert left, top, width and height to left, top, right and bottom."""
    try:
        left, top, width, height = (number(str(side), Hints(share=True)) for side in extent)
    except NumberError:
        return extent[:2]
    return [left, top, round(left + width, 6), round(top + height, 6)]


def no_place(value: object) -> bool:
    """Return whether a box means no place: null, a word for nothing, or four zeros."""
    if value is None or (isinstance(value, str) and nothing(value, NO_NUMBER)):
        return True
    if not isinstance(value, list):
        return False
    return not value or all(_zero(side) for side in value)


def _zero(side: object) -> bool:
    return side is None or (isinstance(side, int | float | str) and str(side).strip("0.") == "")


ModelBox = Annotated[
    list[Share],
    Field(min_length=4, max_length=4, description="[left, top, right, bottom], each 0 to 1"),
    AfterValidator(_sided),
    BeforeValidator(_cornered),
]
"""The requested form of a box; percentages and pixels are refused as ambiguous."""


def _or_none(
    value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> list[float] | None:
    if no_place(value):
        return None
    try:
        box: list[float] | None = handler(value)
    except ValidationError:
        notes_of(info).say(
            "boxes_left_out",
            "Boxes outside the picture or inside out are null; their text is kept.",
        )
        return None
    return box


OptionalBox = Annotated[ModelBox | None, WrapValidator(_or_none)]
"""A box that matters less than its text, so that an invalid one becomes null."""


class PixelBox(DeferredModel):
    """A box in whole pixels of the upright original."""

    left: int
    top: int
    right: int
    bottom: int


class BoxOut(DeferredModel):
    """A place on the original picture, with its EXIF orientation applied."""

    left: Annotated[float, Field(ge=0, le=1, description="Share of the width, 0 to 1.")]
    top: Annotated[float, Field(ge=0, le=1, description="Share of the height, 0 to 1.")]
    right: Annotated[float, Field(ge=0, le=1, description="Share of the width, 0 to 1.")]
    bottom: Annotated[float, Field(ge=0, le=1, description="Share of the height, 0 to 1.")]
    pixels: PixelBox


def placed(box: list[float], view: View) -> BoxOut:
    """Convert a box on the shown picture to coordinates of the original."""
    there = view.to_original(Box(*box))
    left, top, right, bottom = there.pixels(view.original)
    return BoxOut(
        left=there.left,
        top=there.top,
        right=there.right,
        bottom=there.bottom,
        pixels=PixelBox(left=left, top=top, right=right, bottom=bottom),
    )


def enclosing(one: BoxOut, other: BoxOut) -> BoxOut:
    """Return the smallest box that contains both."""
    return BoxOut(
        left=min(one.left, other.left),
        top=min(one.top, other.top),
        right=max(one.right, other.right),
        bottom=max(one.bottom, other.bottom),
        pixels=PixelBox(
            left=min(one.pixels.left, other.pixels.left),
            top=min(one.pixels.top, other.pixels.top),
            right=max(one.pixels.right, other.pixels.right),
            bottom=max(one.pixels.bottom, other.pixels.bottom),
        ),
    )


def shared(one: BoxOut, other: BoxOut) -> float:
    """Return the ratio of the boxes' intersection to their union, 0 to 1."""
    across = max(0.0, min(one.right, other.right) - max(one.left, other.left))
    down = max(0.0, min(one.bottom, other.bottom) - max(one.top, other.top))
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (one, other))
    return across * down / (areas - across * down)


def drawn(kind: Overlay, places: list[tuple[str, BoxOut]], size: Size) -> str | None:
    """Return the requested layer, or None if none is requested."""
    marks = [
        overlay.Marked(label, Box(box.left, box.top, box.right, box.bottom))
        for label, box in places
    ]
    match kind:
        case "svg":
            return overlay.svg(marks, size)
        case "png":
            return overlay.png(marks, size)
        case _:
            return None
