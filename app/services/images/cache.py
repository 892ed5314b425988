"""Prepare the same picture once: reports kept by content digest, bounded in bytes."""

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
"""Bytes that a report takes beside its picture, roughly; so that tiny pictures count too."""
INLINE_BYTES = 256 * 1024
"""Digests of less are taken at once; a thread would cost more than it saves."""


Make = Callable[[ReceivedImage], Awaitable[ImageReport]]
"""Prepares a picture, or raises an ImageError."""


class ReportCache(Protocol):
    """A store of reports, so that they need not be made again."""

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the report, kept or made now, or raise what ``make`` raises."""
        ...


class NoReportCache:
    """A `ReportCache` that keeps nothing."""

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the report, made now."""
        return await make(image)


class KeptReports:
    """A `ReportCache` in memory, least recently used forgotten first.

    A picture asked for while it is being prepared is waited for, not prepared again. Refusals
    are not remembered: the header gives most of them at once.
    """

    def __init__(self, max_bytes: int, threads: FairThreads) -> None:
        """``max_bytes`` bounds the prepared pictures kept, overhead included.

        Digests of large pictures are taken in ``threads``.
        """
        self._threads = threads
        self._max_bytes = max_bytes
        self._bytes = 0
        self._reports: OrderedDict[bytes, ImageReport] = OrderedDict()
        self._flights = SingleFlight[tuple[bytes, str], ImageReport]()

    @property
    def bytes_held(self) -> int:
        """Bytes of the reports kept at the moment, overhead included."""
        return self._bytes

    async def report(self, image: ReceivedImage, make: Make) -> ImageReport:
        """Return the report, kept or made now, or raise what ``make`` raises."""
        digest = await self._digest(image.data)
        report = self._reports.get(digest)
        if report is None:
            # By name too, because an error names the picture that it is about.
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
