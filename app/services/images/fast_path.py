"""A photograph that fits goes through at once: no thread and no decoder."""

from dataclasses import replace

from app.domain.errors import ImageError
from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.domain.ports import ImagePreparer
from app.services.images.formats import jpeg
from app.services.images.header import inspect
from app.services.images.prepare import prepare_undecoded

INLINE_BYTES = 512 * 1024
"""A picture of up to so much is walked and hashed in half a millisecond: on the event loop, because
every hop to a thread costs a fifth of that. The worst that a hostile one takes is twelve."""
INLINE_SEGMENTS = 100
"""Cameras write up to forty. Files that are cut finer are not walked on the event loop."""


class PassingPreparer:
    """An `ImagePreparer` that lets JPEGs through which fit, and leaves the others to ``inner``.

    It refuses nothing: where something is wrong ``inner`` finds it again and says so. It
    stands before the cache, because looking a picture up takes as long as passing it.
    """

    def __init__(self, inner: ImagePreparer, limits: ImageLimits) -> None:
        self.inner = inner
        self.limits = replace(limits, max_chunks=min(INLINE_SEGMENTS, limits.max_chunks))

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report, or raise an ImageError."""
        return self._passed(image) or await self.inner.prepare(image)

    def _passed(self, image: ReceivedImage) -> ImageReport | None:
        # Other types have to be unpacked to be proven whole.
        if len(image.data) > INLINE_BYTES or not image.data.startswith(jpeg.MAGIC):
            return None
        try:
            return prepare_undecoded(image, inspect(image.data, self.limits), self.limits)
        except ImageError:
            return None
