"""Pictures as received, as prepared, and the treatment in between."""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256


class ImageType(StrEnum):
    """A picture's type, detected from its bytes whatever was declared."""

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
class AnswerWarning:
    """A warning to the caller about an answer."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """A picture as the caller sent it, not yet inspected."""

    data: bytes
    declared_type: str | None = None
    """The media type declared with it (data URI, form part, Content-Type), if any."""
    name: str = "images.0"
    """The picture's path in the request, for error messages."""


@dataclass(frozen=True, slots=True)
class Base64Image:
    """A picture as base64 text or as a data URI, not yet decoded."""

    text: str
    declared_type: str | None = None
    name: str = "images.0"


@dataclass(frozen=True, slots=True)
class UrlImage:
    """A picture's URL, not yet fetched."""

    url: str
    name: str = "images.0"


@dataclass(frozen=True, slots=True)
class S3Image:
    """A picture in Amazon S3, not yet fetched."""

    bucket: str
    key: str
    version_id: str | None = None
    name: str = "images.0"
    owner: str | None = None
    """The AWS account that must own the bucket, if the caller asks for that."""


@dataclass(frozen=True, slots=True)
class FileImage:
    """A picture or document that the caller uploaded, not yet read."""

    file_id: str
    owner: str
    """The id of the caller who names it."""
    name: str = "images.0"


@dataclass(frozen=True, slots=True)
class Canvas:
    """The grid of 560-pixel tiles on which Llama's image processor places the picture."""

    columns: int
    rows: int

    @property
    def tiles(self) -> int:
        """The number of tiles for the vision encoder, 1 to 4."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts about a picture, read from its header."""

    media_type: ImageType
    width: int
    """Width in pixels as stored, before EXIF orientation is applied."""
    height: int
    bytes: int
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    frames: int = 1
    """Frames of an animation, or pages of a TIFF."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture that the model accepts: one frame, upright, of a detected type, within limits."""

    data: bytes
    media_type: ImageType
    width: int
    height: int
    digest: str = field(default="", compare=False)
    """`sha256`, once it is known."""
    size: int = 0
    """Bytes of ``data``, which remain known if a copy drops the data."""
    pixels: str = field(default="", compare=False)
    """SHA-256 of the pixels before they were encoded, if that was requested."""

    def __post_init__(self) -> None:
        """Set the size from the data."""
        if self.data:
            object.__setattr__(self, "size", len(self.data))

    @property
    def sha256(self) -> str:
        """SHA-256 of ``data``, lower-case hexadecimal.

        It is computed on first use, as it is a seventh of the work on a picture that fits, and most
        dialects do not show it.
        """
        if not self.digest:
            object.__setattr__(self, "digest", sha256(self.data).hexdigest())
        return self.digest


class Treatment(StrEnum):
    """The treatment of a picture's bytes."""

    UNCHANGED = "unchanged"
    """The picture fitted in every respect and was sent byte for byte."""
    STRIPPED = "stripped"
    """The bytes of the pixels are as received; metadata and trailing data were removed."""
    ENCODED = "encoded"
    """The picture was decoded and encoded again."""


@dataclass(frozen=True, slots=True)
class ImageReport:
    """The received picture, the prepared one, and warnings of losses."""

    received: ImageFacts
    declared_type: str | None
    prepared: PreparedImage
    canvas: Canvas
    scale: float
    """Prepared size over received size along the longer side, at most 1."""
    treatment: Treatment = Treatment.ENCODED
    warnings: tuple[AnswerWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits of received pictures and of prepared ones."""

    max_bytes: int = 20 * 1024 * 1024
    """Bytes of a received picture. Phones' 12-megapixel photos have 2 to 10 MB."""
    max_pixels: int = 100_000_000
    """Pixels of a received picture. Covers today's 50-megapixel phones and A3 scans."""
    max_received_side: int = 32_768
    """Pixels along a received picture's longer side."""
    max_frames: int = 1_000
    """Frames of an animation or pages of a TIFF; only the first is used."""
    max_chunks: int = 20_000
    """Segments, chunks or blocks of a file. A 20 MB PNG with chunks of 8 KiB has 2,500."""
    max_metadata_bytes: int = 4 * 1024 * 1024
    """Bytes of one ICC profile or EXIF block, unpacked. The largest press profiles have 2.5 MB."""
    max_side: int = 1_120
    """Pixels along either side of a prepared picture; Bedrock refused 1121 for this model."""
    max_sheet_images: int = 16
    """Pictures on one contact sheet; each gets 280 x 280 pixels then."""
    byte_budget: int = 3_932_160
    """Bytes of a prepared picture before base64: Converse's 3.75 MiB."""
    pixel_digests: bool = False
    """Whether the decoders digest the pixels."""
