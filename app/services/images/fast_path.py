"""Passes a photograph that already fits on the event loop, without a thread or a decoder."""

from dataclasses import replace
from typing import NamedTuple

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.images.formats import jpeg
from app.services.images.inspection.header import Inspection, inspect
from app.services.images.prepare import prepare_undecoded

INLINE_BYTES = 512 * 1024
"""Maximum bytes of a picture that is walked and hashed on the event loop. That takes half a
millisecond, or twelve for a hostile picture; a hop to a thread would cost a fifth of one half."""
INLINE_SEGMENTS = 100
"""Maximum segments of a file that is walked on the event loop; cameras write up to forty."""


class Look(NamedTuple):
    """The outcome of a first look at a picture."""

    inspection: Inspection | None = None
    """The inspection; None if none was made or it failed, so that a second look is needed."""
    report: ImageReport | None = None
    """The report of a picture that needs no decoding; None for any other."""


def inline(limits: ImageLimits) -> ImageLimits:
    """Return the limits of pictures that are walked on the event loop."""
    return replace(limits, max_chunks=min(INLINE_SEGMENTS, limits.max_chunks))


def glance(image: ReceivedImage, limits: ImageLimits) -> Look:
    """Inspect a small JPEG within `inline` limits and pass it if it fits; nothing is refused."""
    # Other types must be decompressed to be proven complete.
    if len(image.data) > INLINE_BYTES or not image.data.startswith(jpeg.MAGIC):
        return Look()
    try:
        inspection = inspect(image.data, limits)
        return Look(inspection, prepare_undecoded(image, inspection, limits))
    except ImageError:
        return Look()
