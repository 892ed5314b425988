"""The way of every picture through the service: each step in order, one inspection for all."""

from functools import partial
from typing import Protocol

from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.concurrency.budget import Budget
from app.services.concurrency.fair_threads import FairThreads
from app.services.images.cache import ReportCache
from app.services.images.error_location import ImageErrorLocation
from app.services.images.fast_path import glance, inline
from app.services.images.header import Inspection
from app.services.images.pool import look


class Decoders(Protocol):
    """Decode pictures where that does no harm."""

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        """Return the report of a picture that can't go as it is, or raise an ImageError."""
        ...


class PicturePipeline:
    """An `ImagePreparer`: the fast path, the cache, the second look, room, and the decoders.

    A small JPEG that fits goes through before the cache, because looking it up would take as
    long. Every other picture is looked up by its bytes, inspected in a thread unless that was
    done, and decoded if it has to be, when its pixels have room among the others.
    """

    def __init__(
        self,
        decoders: Decoders,
        limits: ImageLimits,
        pixels: Budget,
        cache: ReportCache,
        threads: FairThreads,
    ) -> None:
        """``pixels`` bounds what is being decoded or waits for a decoder.

        Pictures are inspected in ``threads``.
        """
        self._decoders = decoders
        self._limits = limits
        self._inline = inline(limits)
        self._pixels = pixels
        self._cache = cache
        self._threads = threads

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report, or raise an ImageError or OverloadedError."""
        inspection, report = glance(image, self._inline)
        if report is not None:
            return report
        return await self._cache.report(image, partial(self._make, inspection))

    async def _make(self, inspection: Inspection | None, image: ReceivedImage) -> ImageReport:
        with ImageErrorLocation(image):
            if inspection is None:
                seen, report = await self._threads.run(look, image, self._limits)
                if report is not None:
                    return report
            else:
                seen = inspection
            facts = seen.facts
            async with self._pixels.reserve(facts.width * facts.height):
                return await self._decoders.decode(image, seen)
