"""A photograph that fits goes through at once: no thread and no decoder."""

from dataclasses import replace
from typing import NamedTuple

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.images.formats import jpeg
from app.services.images.header import Inspection, inspect
from app.services.images.prepare import prepare_undecoded

INLINE_BYTES = 512 * 1024
"""A picture of up to so much is walked and hashed in half a millisecond: on the event loop, because
every hop to a thread costs a fifth of that. The worst that a hostile one takes is twelve."""
INLINE_SEGMENTS = 100
"""Cameras write up to forty. Files that are cut finer are not walked on the event loop."""


class Look(NamedTuple):
    """The outcome of a first look at a picture."""

    inspection: Inspection | None = None
    """None where nothing was looked at, or something is wrong, which a second look tells."""
    report: ImageReport | None = None
    """The report of a picture that goes through as it is; None for any other."""


def inline(limits: ImageLimits) -> ImageLimits:
    """Return the limits of what is walked on the event loop."""
    return replace(limits, max_chunks=min(INLINE_SEGMENTS, limits.max_chunks))


def glance(image: ReceivedImage, limits: ImageLimits) -> Look:
    """Inspect a small JPEG within `inline` limits, and pass it if it fits. Refuses nothing."""
    # Other types have to be unpacked to be proven whole.
    if len(image.data) > INLINE_BYTES or not image.data.startswith(jpeg.MAGIC):
        return Look()
    try:
        inspection = inspect(image.data, limits)
        return Look(inspection, prepare_undecoded(image, inspection, limits))
    except ImageError:
        return Look()
