"""Obtains an image's bytes from the request, from base64 text or from a remote source."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import pybase64

from app.domain.errors import ImageTooLargeError, InvalidBase64Error
from app.domain.generation import ImageInput
from app.domain.image import Base64Image, FileImage, ReceivedImage, S3Image, UrlImage
from app.domain.ports import Arrival, ImageSource
from app.services.concurrency.budget import Budget, Reservation
from app.services.concurrency.fair_threads import FairThreads
from app.services.files.source import NO_FILES
from app.services.images.error_location import ImageErrorLocation
from app.telemetry import current

_LONGEST_HEAD = 1024
"""Characters of a data URI that are searched for its comma. A media type has at most 255 (RFC
6838), and few have parameters."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANK = b" \t\n\v\f\r"
_ESCAPES = (("%2B", "+"), ("%2b", "+"), ("%2F", "/"), ("%2f", "/"), ("%3D", "="), ("%3d", "="))

_DATA_HEAD = re.compile(r'((?:[^",]|"[^"]*")*),')
"""The part of a data URI before its data; a quoted parameter, such as a file name, may contain
commas."""
# Names have the lengths of RFC 6838, and parameters after a semicolon are dropped.
_MEDIA_TYPE = re.compile(r"\s*([\w.+*-]{1,127}/[\w.+*-]{1,127})\s*(?:;.*)?", re.ASCII | re.DOTALL)

_REMOTE = (UrlImage, S3Image, FileImage)

# Below this size a thread costs more than it saves: decoding runs at ten gigabytes a second.
_INLINE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageSources:
    """Fetches or decodes the images of a request."""

    max_bytes: int
    """Maximum size of one image in bytes."""
    urls: ImageSource[UrlImage]
    objects: ImageSource[S3Image]
    room: Budget
    """The budget of bytes in flight, shared with request bodies."""
    threads: FairThreads = field(default_factory=lambda: FairThreads("base64"))
    """Threads that decode long base64 text."""
    files: ImageSource[FileImage] = NO_FILES

    def fetched(self, image: ImageInput) -> AbstractAsyncContextManager[ReceivedImage]:
        """Yield the image; a remote image's bytes are reserved in the budget inside the block.

        Raises the errors of `fetch` and OverloadedError.
        """
        return self._held(image) if isinstance(image, _REMOTE) else _Brought(self, image)

    @asynccontextmanager
    async def _held(self, image: ImageInput) -> AsyncIterator[ReceivedImage]:
        held = self.room.open(current().share, self.max_bytes)
        try:
            received = await self.fetch(image, _Room(held))
            held.complete()
            yield received
        finally:
            held.release()

    async def fetch(self, image: ImageInput, arrival: Arrival) -> ReceivedImage:
        """Return the image's bytes, or raise InvalidBase64Error or an ImageError.

        A remote source reserves room for its bytes through ``arrival``.
        """
        with ImageErrorLocation(image):
            match image:
                case UrlImage():
                    received = await self.urls.fetch(image, arrival)
                case S3Image():
                    received = await self.objects.fetch(image, arrival)
                case FileImage():
                    received = await self.files.fetch(image, arrival)
                case Base64Image():
                    received = await self._decode(image)
                case ReceivedImage():
                    received = image
            if len(received.data) > self.max_bytes:
                raise self._too_large(len(received.data))
            return received if received.declared_type is None else _typed(received)

    async def _decode(self, image: Base64Image) -> ReceivedImage:
        # An oversized image is refused by its length before it is decoded.
        if len(image.text) // 4 * 3 > self.max_bytes + 1024:
            raise self._too_large(len(image.text) // 4 * 3)
        if len(image.text) < _INLINE_BYTES:
            return decode(image)
        return await self.threads.run(decode, image)

    def _too_large(self, size: int) -> ImageTooLargeError:
        return ImageTooLargeError(f"has {size:,} bytes; at most {self.max_bytes:,} are accepted")


@dataclass(frozen=True, slots=True)
class _Room:
    """An `Arrival` that reserves bytes in the budget."""

    held: Reservation | None
    """None for an image in the request, which is counted as part of the body."""

    async def grow_to(self, size: int) -> None:
        """Wait until ``size`` bytes in total are reserved, or raise OverloadedError."""
        if self.held is not None and not self.held.grow_to(size):
            await self.held.wait_for(size)


_BROUGHT = _Room(None)


class _Brought:
    """A context manager for an image contained in the request."""

    __slots__ = ("_image", "_sources")

    def __init__(self, sources: ImageSources, image: ImageInput) -> None:
        self._sources = sources
        self._image = image

    async def __aenter__(self) -> ReceivedImage:
        """Decode and return the image."""
        return await self._sources.fetch(self._image, _BROUGHT)

    async def __aexit__(self, *_: object) -> None:
        """Release nothing, since nothing was reserved."""


def decode(image: Base64Image) -> ReceivedImage:
    """Decode base64 text or a base64 data URI; whitespace and missing padding are accepted."""
    declared, text = image.declared_type, image.text.strip()
    if text[:5].lower() == "data:":
        declared, text = _split_data_uri(text, image)
    try:
        return ReceivedImage(_b64decode(text), declared, image.name)
    except ValueError as error:  # binascii.Error is one
        raise InvalidBase64Error.at(image.name, _not_base64(text, error)) from error


def _not_base64(text: str, error: ValueError) -> str:
    scheme, address, _ = text[:8].partition("://")
    if address:
        form = "s3_uri" if scheme.lower() == "s3" else "url"
        return f'is an address and not base64; give it as {{"{form}": "{scheme}://…"}}'
    return (
        f"is not base64 ({error}); send base64, also URL-safe or unpadded, or a data "
        "URI such as data:image/png;base64,…"
    )


def _typed(image: ReceivedImage) -> ReceivedImage:
    """Drop a declared type that is no valid media type, since answers and a header repeat it."""
    match = _MEDIA_TYPE.fullmatch((image.declared_type or "")[:_LONGEST_HEAD])
    declared = match[1] if match is not None else None
    return image if declared == image.declared_type else replace(image, declared_type=declared)


def _split_data_uri(text: str, image: Base64Image) -> tuple[str | None, str]:
    head = _DATA_HEAD.match(text, len("data:"), _LONGEST_HEAD)
    kind, *parameters = head[1].lower().split(";") if head else [""]
    if head is None or "base64" not in map(str.strip, parameters):
        raise InvalidBase64Error.at(
            image.name,
            "is a data URI without base64; send data:<media type>;base64,<data>",
        )
    return image.declared_type or kind.strip() or None, text[head.end() :]


def _b64decode(text: str) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass
    # Some clients send percent-encoded text, line breaks, the URL-safe alphabet or no padding.
    for escape, character in _ESCAPES if "%" in text else ():
        text = text.replace(escape, character)
    if not text.isascii():
        other = next(character for character in text if not character.isascii())
        raise ValueError(f"it has the character {other!r}")
    raw = text.encode("ascii").translate(_URL_SAFE, _BLANK).rstrip(b"=")
    return pybase64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
