"""Maps boxes from the image that the model saw to the upright original."""

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from app.domain.image import ImageReport

TURNED = 5
"""EXIF orientations from this value on swap width and height."""


class Size(NamedTuple):
    """A width and height in pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """A rectangle in fractions of an image's width and height, from 0 at the left and top to 1."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, size: Size) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in whole pixels, rounded outwards."""
        return (
            floor(self.left * size.width),
            floor(self.top * size.height),
            ceil(self.right * size.width),
            ceil(self.bottom * size.height),
        )


@dataclass(frozen=True, slots=True)
class View:
    """The part of an upright original that the model was shown.

    ``region`` may extend beyond the original's edges if the image was padded.
    """

    original: Size
    region: tuple[float, float, float, float]
    """Left, top, width and height in pixels of the upright original."""

    @classmethod
    def whole(cls, report: ImageReport) -> "View":
        """Return the view of an image that was shown whole, even if it was rotated or shrunk.

        Preparation scales each side to whole pixels separately, so fractions of the prepared image
        are fractions of the original.
        """
        size = upright(report)
        return cls(size, (0, 0, size.width, size.height))

    def to_original(self, box: Box) -> Box:
        """Convert ``box`` from fractions of the shown image to fractions of the original."""
        left, top, width, height = self.region
        return Box(
            (left + box.left * width) / self.original.width,
            (top + box.top * height) / self.original.height,
            (left + box.right * width) / self.original.width,
            (top + box.bottom * height) / self.original.height,
        )


def upright(report: ImageReport) -> Size:
    """Return the original's size after its EXIF rotation."""
    received = report.received
    if received.orientation >= TURNED:
        return Size(received.height, received.width)
    return Size(received.width, received.height)
