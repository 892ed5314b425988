"""The layout of a picture, as a format's reader finds it in the file's header."""

from dataclasses import dataclass

from app.domain.errors import ImageBombError
from app.domain.image import ImageLimits


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture as its header describes it."""

    width: int
    """Pixels, as stored."""
    height: int
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    frames: int = 1
    plain: bool = False
    """Eight bits or fewer a sample, opaque, grey or sRGB, in a form that every decoder reads."""
    largest_metadata: int = 0
    """Bytes of the largest metadata block, unpacked."""
    hdr: bool = False
    """Brighter than a page's white (PQ or HLG), so that it is mapped to it."""
    stray: bool = False
    """Bytes that belong to nothing stand between its pieces, and are left out."""


class ChunkCounter:
    """Counts the pieces of a file and stops at the limit, so that no walk is endless."""

    def __init__(self, limits: ImageLimits, *, each: int = 1) -> None:
        """``each`` multiplies the limit, for formats that are cut into finer pieces."""
        self._limit = limits.max_chunks * each
        self._left = self._limit

    def step(self) -> None:
        """Count one piece; raises `ImageBombError` over the limit."""
        self._left -= 1
        if self._left < 0:
            raise too_many_pieces(self._limit)


def too_many_pieces(limit: int) -> ImageBombError:
    """Return the refusal of a file that is cut into more than ``limit`` pieces."""
    return ImageBombError(f"The file is cut into more than {limit} pieces.")
