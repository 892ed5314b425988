"""The pictures of the comparison, and ways to send each one as if it were new."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from PIL import ExifTags, Image

from bench.micro.images import photo
from fixtures.images import encoded

_DENSITY = 14
"""The place of a JFIF file's dots per inch, two numbers of 16 bits that no decoder heeds."""
_VARYING = 21
"""Bytes at the start that hold it; a multiple of three, so that their base64 ends there too."""
_NUMBERS = 65_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG that begins with JFIF's header."""

    data: bytes

    def start(self, number: int) -> bytes:
        """Return the first bytes, ``number`` hidden in them: to a digest it is another picture."""
        low, high = 1 + number % _NUMBERS, 1 + number // _NUMBERS % _NUMBERS
        density = low.to_bytes(2) + high.to_bytes(2)
        return self.data[:_DENSITY] + density + self.data[_DENSITY + 4 : _VARYING]

    def as_base64(self, before: bytes, after: bytes) -> Iterator[Sequence[bytes]]:
        """Yield ``before``, a new picture in base64 and ``after``, for ever."""
        rest = base64.b64encode(self.data[_VARYING:]) + after
        return ((before + base64.b64encode(self.start(number)), rest) for number in count())

    def as_bytes(self, before: bytes, after: bytes) -> Iterator[Sequence[bytes]]:
        """Yield the same with the picture as it is."""
        rest = self.data[_VARYING:] + after
        return ((before + self.start(number), rest) for number in count())


def fitting_100_kb() -> Picture:
    """A picture of about 100 KB that the model takes as it is."""
    return _sized(640, 480, 100_000)


def fitting_500_kb() -> Picture:
    """A picture of about 496 KB, 661 KB as base64, that the model takes as it is."""
    return _sized(1120, 1120, 500_000)


def fitting_3_mb() -> Picture:
    """A noisy picture of about 3 MB that the model takes as it is."""
    noisy = photo(1120, 1120, grain=20)
    return Picture(encoded(noisy, "JPEG", quality=100, subsampling=0))


def to_prepare() -> Picture:
    """A noisy picture slightly too large for the model: 550 KB is made of it, at small cost."""
    return Picture(encoded(photo(1200, 1200, grain=1), "JPEG", quality=95))


def phone() -> Picture:
    """A photo of 12 megapixels, stored sideways as phones do."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return Picture(encoded(photo(4032, 3024), "JPEG", quality=92, exif=exif))


def _sized(width: int, height: int, size: int) -> Picture:
    """Return the JPEG whose size comes nearest to ``size`` bytes."""
    picture = photo(width, height)
    made = (encoded(picture, "JPEG", quality=quality) for quality in range(80, 98))
    return Picture(min(made, key=lambda data: abs(len(data) - size)))
