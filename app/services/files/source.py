"""Images and documents that a request references by file id."""

from dataclasses import dataclass

from app.domain.errors import (
    FileNotFoundHereError,
    ImageSourceDisabledError,
    ImageSourceNotFoundError,
    ImageTooLargeError,
)
from app.domain.file import FilePurpose
from app.domain.image import FileImage, ReceivedImage
from app.domain.ports import Arrival
from app.services.files.service import FileService


@dataclass(frozen=True, slots=True)
class FileImageSource:
    """An image source for the caller's uploaded files."""

    files: FileService
    max_bytes: int
    """Maximum size of one image in bytes."""

    async def fetch(self, image: FileImage, arrival: Arrival) -> ReceivedImage:
        """Return the file's bytes and type, or raise an ImageError."""
        try:
            stored = await self.files.get(image.owner, image.file_id)
            if stored.purpose is not FilePurpose.VISION:
                raise ImageSourceNotFoundError(
                    f"{stored.id} was uploaded for {stored.purpose}; pictures need the purpose "
                    "vision"
                )
            if stored.bytes > self.max_bytes:
                raise ImageTooLargeError(
                    f"has {stored.bytes:,} bytes; at most {self.max_bytes:,} are accepted"
                )
            await arrival.grow_to(stored.bytes)
            data = b"".join([piece async for piece in self.files.read(stored)])
        except FileNotFoundHereError as error:
            raise ImageSourceNotFoundError(error.detail) from error
        return ReceivedImage(data, stored.media_type, image.name)


@dataclass(frozen=True, slots=True)
class NoFiles:
    """The image source of a service without a file store."""

    async def fetch(self, image: FileImage, arrival: Arrival) -> ReceivedImage:  # noqa: ARG002 - the port's
        """Raise ImageSourceDisabledError."""
        raise ImageSourceDisabledError("this service stores no files")


NO_FILES = NoFiles()
