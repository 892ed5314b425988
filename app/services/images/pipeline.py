"""The pipeline of every picture: the steps in order, with a single inspection."""

from functools import partial
from typing import Protocol

from app.domain.image import ImageLimits, ImageReport, ReceivedImage
from app.services.concurrency.budget import Budget
from app.services.concurrency.fair_threads import FairThreads
from app.services.images.cache import ReportCache
from app.services.images.error_location import ImageErrorLocation
from app.services.images.fast_path import glance, inline
from app.services.images.inspection.header import Inspection
from app.services.images.prepare import inspect_and_prepare


class Decoders(Protocol):
    """Decodes pictures in isolation from the service."""

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        """Return the report of a picture that must be decoded, or raise an ImageError."""
        ...


class PicturePipeline:
    """An `ImagePreparer` with a fast path, a cache, an inspection, a pixel budget and decoders.

    A small JPEG that fits passes before the cache, because a look-up would take as long. Every
    other picture is looked up by its bytes, inspected in a thread unless that is already done,
    and, if necessary, decoded once its pixels fit the budget.
    """

    def __init__(
        self,
        decoders: Decoders,
        limits: ImageLimits,
        pixels: Budget,
        cache: ReportCache,
        threads: FairThreads,
    ) -> None:
        """Create a pipeline; ``pixels`` bounds the pictures in decoders or waiting for them.

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
                seen, report = await self._threads.run(inspect_and_prepare, image, self._limits)
                if report is not None:
                    return report
            else:
                seen = inspection
            facts = seen.facts
            async with self._pixels.reserve(facts.width * facts.height):
                return await self._decoders.decode(image, seen)
