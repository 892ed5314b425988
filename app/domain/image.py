"""Pictures as they come in, as they go out, and what was done to them in between."""

from dataclasses import dataclass
from enum import StrEnum


class ImageType(StrEnum):
    """A picture's type as found in its bytes, whatever it was declared to be."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"
    HEIC = "image/heic"
    AVIF = "image/avif"

    @property
    def short_name(self) -> str:
        """The name that Converse uses: ``jpeg``, ``png``, ``webp``, ``gif``."""
        return self.value.removeprefix("image/")


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that the caller should know about an answer that was given all the same."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """A picture as the caller sent it, not yet looked at."""

    data: bytes
    declared_type: str | None = None
    """The media type that came with it (data URI, form part, Content-Type), if any."""
    name: str = "images.0"
    """Where it stood in the request, for error messages."""


@dataclass(frozen=True, slots=True)
class Base64Image:
    """A picture as base64 text or as a data URI, not yet decoded."""

    text: str
    declared_type: str | None = None
    name: str = "images.0"


@dataclass(frozen=True, slots=True)
class Canvas:
    """The grid of 560-pixel tiles that Llama's image processor lays the picture on."""

    columns: int
    rows: int

    @property
    def tiles(self) -> int:
        """How many tiles the picture costs the vision encoder, 1 to 4."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a picture's bytes say of it. Read from its header."""

    media_type: ImageType
    width: int
    """Pixels, as stored (before EXIF orientation is applied)."""
    height: int
    bytes: int
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    frames: int = 1
    """Frames of an animation, or pages of a TIFF."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture that the model accepts: one frame, upright, typed by its bytes, within limits."""

    data: bytes
    media_type: ImageType
    width: int
    height: int
    sha256: str
    """Of ``data``, lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What was received, what was made of it, and what may have been lost."""

    received: ImageFacts
    declared_type: str | None
    prepared: PreparedImage
    canvas: Canvas
    scale: float
    """Prepared size over received size along the longer side, at most 1."""
    warnings: tuple[Caveat, ...] = ()
