"""The layout of a picture, as read from a file's header."""

from dataclasses import dataclass

from app.domain.errors import ImageBombError
from app.domain.image import ImageLimits


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture as its header describes it."""

    width: int
    """Width in pixels as stored, before any rotation."""
    height: int
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    frames: int = 1
    plain: bool = False
    """Whether it is opaque grey or sRGB of at most 8 bits per sample, as every decoder reads it."""
    largest_metadata: int = 0
    """Size in bytes of the largest metadata block after decompression."""
    hdr: bool = False
    """Whether it is HDR (PQ or HLG) and must be mapped to paper white."""
    stray: bool = False
    """Whether stray bytes between its pieces were skipped."""


class ChunkCounter:
    """Counts the pieces of a file up to a limit, so that every walk ends."""

    def __init__(self, limits: ImageLimits, *, each: int = 1) -> None:
        """Set the limit; ``each`` multiplies it for formats with smaller pieces."""
        self._limit = limits.max_chunks * each
        self._left = self._limit

    def step(self) -> None:
        """Count one piece, or raise `ImageBombError` over the limit."""
        self._left -= 1
        if self._left < 0:
            raise too_many_pieces(self._limit)


def too_many_pieces(limit: int) -> ImageBombError:
    """Return the refusal of a file with more than ``limit`` pieces."""
    return ImageBombError(f"The file is cut into more than {limit} pieces.")
