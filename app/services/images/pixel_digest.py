"""Digests of pictures' pixels, which do not depend on the file format."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol, TypeVar

import pyvips

from app.domain.errors import ImageDamagedError
from app.domain.image import PreparedImage
from app.services.concurrency.single_flight import SingleFlight

T = TypeVar("T")

REMEMBERED = 8_192
"""Maximum number of cached digests, at 300 bytes each."""


class Workers(Protocol):
    """Runs code on untrusted bytes in isolation from the service."""

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return the result of ``function`` for ``arguments``."""
        ...


def digest(picture: pyvips.Image) -> str:
    """Return the SHA-256 of a picture's size and samples in sRGB, lower-case hexadecimal."""
    # A grey picture looks the same with one sample per pixel as with three.
    picture = picture.colourspace(pyvips.enums.Interpretation.SRGB)
    if picture.hasalpha():
        picture = picture.flatten(background=255)
    made = sha256(f"{picture.width}x{picture.height}\n".encode())
    made.update(picture.cast("uchar").write_to_memory())
    return made.hexdigest()


def digest_of_file(data: bytes) -> str:
    """Return the digest of the pixels of the file ``data``. Calls C decoders."""
    try:
        return digest(pyvips.Image.new_from_buffer(data, "", access="sequential"))
    except pyvips.Error as error:
        raise ImageDamagedError("The prepared picture can't be decoded.") from error


@dataclass(slots=True)
class PixelDigests:
    """Returns pixel digests of prepared pictures, decoding each file once."""

    workers: Workers
    _known: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """Digests of pixels by digests of files, least recently used first."""
    _flights: SingleFlight[str, str] = field(default_factory=SingleFlight)

    async def digest(self, image: PreparedImage) -> str:
        """Return the digest of ``image``, or raise an ImageError."""
        if image.pixels:
            return image.pixels
        known = self._known.get(image.sha256)
        if known is not None:
            self._known.move_to_end(image.sha256)
            return known
        return await self._flights.run(image.sha256, lambda: self._made(image))

    async def _made(self, image: PreparedImage) -> str:
        pixels = self._known[image.sha256] = await self.workers.work(digest_of_file, image.data)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return pixels
