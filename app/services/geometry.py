"""Boxes: from the picture that the model saw back to the original as a viewer shows it."""

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from app.domain.image import ImageReport

TURNED = 5
"""EXIF orientations from here on swap width and height."""


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """Shares of a picture's width and height, from 0 at the left and the top to 1."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, size: Size) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in whole pixels, none of the box cut off."""
        return (
            floor(self.left * size.width),
            floor(self.top * size.height),
            ceil(self.right * size.width),
            ceil(self.bottom * size.height),
        )


@dataclass(frozen=True, slots=True)
class View:
    """The part of an upright original that the model was shown.

    ``region`` may reach over the original's edges, where it was padded.
    """

    original: Size
    region: tuple[float, float, float, float]
    """Left, top, width and height in pixels of the upright original."""

    @classmethod
    def whole(cls, report: ImageReport) -> "View":
        """Return the view of a picture that was shown whole, turned and shrunk as it may be.

        A preparation stretches both sides to whole pixels on their own, so shares of the
        prepared picture are shares of the original.
        """
        size = upright(report)
        return cls(size, (0, 0, size.width, size.height))

    def to_original(self, box: Box) -> Box:
        """Return ``box``, given as shares of what was shown, as shares of the original."""
        left, top, width, height = self.region
        return Box(
            (left + box.left * width) / self.original.width,
            (top + box.top * height) / self.original.height,
            (left + box.right * width) / self.original.width,
            (top + box.bottom * height) / self.original.height,
        )


def upright(report: ImageReport) -> Size:
    """Return the original's size as a viewer shows it."""
    received = report.received
    if received.orientation >= TURNED:
        return Size(received.height, received.width)
    return Size(received.width, received.height)
