"""Caches reports by content digest, bounded in bytes, so that a picture is prepared once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Protocol

from app.domain.image import ImageReport, ReceivedImage
from app.services.concurrency.fair_threads import FairThreads
from app.services.concurrency.single_flight import SingleFlight
from app.services.images.warnings import redeclared
from app.telemetry import current

ENTRY_OVERHEAD = 2_048
"""Approximate size in bytes of a report without its picture, so that tiny pictures count too."""
INLINE_BYTES = 256 * 1024
"""Maximum bytes of a picture hashed on the event loop, where a thread would cost more."""


Make = Callable[[ReceivedImage], Awaitable[ImageReport]]
"""Prepares a picture, or raises an ImageError."""


class ReportCache(Protocol):
    """A cache of reports."""

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the cached report, or call ``make``, whose errors are raised."""
        ...


class NoReportCache:
    """A `ReportCache` that caches nothing."""

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the report of ``make``."""
        return await make(image)


class KeptReports:
    """A `ReportCache` in memory that evicts the least recently used report first.

    Concurrent requests for the same picture share one preparation. Refusals are not cached, since
    the header reveals most of them at once.
    """

    def __init__(self, max_bytes: int, threads: FairThreads) -> None:
        """Create a cache of at most ``max_bytes`` of prepared pictures, including overhead.

        Large pictures are hashed in ``threads``.
        """
        self._threads = threads
        self._max_bytes = max_bytes
        self._bytes = 0
        self._reports: OrderedDict[bytes, ImageReport] = OrderedDict()
        self._flights = SingleFlight[tuple[bytes, str], ImageReport]()

    @property
    def bytes_held(self) -> int:
        """Return the size of the cached reports in bytes, including overhead."""
        return self._bytes

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the cached report, or call ``make``, whose errors are raised."""
        digest = await self._digest(image.data)
        report = self._reports.get(digest)
        if report is None:
            # The key includes the name, because errors name their picture.
            report = await self._flights.run(
                (digest, image.name), lambda: self._made(digest, image, make)
            )
        else:
            self._reports.move_to_end(digest)
            current().images_cached += 1
        return redeclared(report, image.declared_type)

    async def _digest(self, data: bytes) -> bytes:
        if len(data) <= INLINE_BYTES:
            return sha256(data).digest()
        return await self._threads.run(lambda: sha256(data).digest())

    async def _made(self, digest: bytes, image: ReceivedImage, make: Make) -> ImageReport:
        report = await make(image)
        self._keep(digest, report)
        return report

    def _keep(self, digest: bytes, report: ImageReport) -> None:
        size = _size(report)
        if size > self._max_bytes or digest in self._reports:
            return
        self._reports[digest] = report
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, oldest = self._reports.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(report: ImageReport) -> int:
    return len(report.prepared.data) + ENTRY_OVERHEAD
