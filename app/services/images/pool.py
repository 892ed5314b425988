"""Decode pictures in processes of their own, which may hang, crash or starve without harm."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from app.domain.errors import ImageDecoderError, ImageTimeoutError
from app.domain.image import ImageLimits, ImageReport, PreparedImage, ReceivedImage
from app.services.concurrency.single_flight import SingleFlight
from app.services.images import worker
from app.services.images.error_location import named
from app.services.images.header import Inspection, inspect
from app.services.images.prepare import prepare_decoded, prepare_undecoded
from app.services.images.sheet import ContactSheet, contact_sheet

T = TypeVar("T")

WORKERS = 2
TIMEOUT = 6.0
"""Seconds for one picture. The slowest honest one measured, a 48-megapixel HEIC, takes one."""
MEMORY = 1024 * 1024 * 1024
"""Bytes of address space of one worker; it holds a 100-megapixel progressive JPEG."""
GRACE = 2.0
"""Seconds more until the pool itself is taken to be stuck, not the picture slow."""


class PooledPreparer:
    """Prepares pictures in a few worker processes; an `ImagePreparer`.

    Pictures that need no decoding never reach a worker. At most ``workers`` pictures are with
    the workers at a time, the others wait here, holding nothing but their own bytes. Cancelling
    the caller stops the work.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        workers: int = WORKERS,
        timeout: float = TIMEOUT,
        memory: int = MEMORY,
        run: Callable[[ReceivedImage, Inspection, ImageLimits], ImageReport] = prepare_decoded,
    ) -> None:
        """``timeout`` in seconds per picture, ``memory`` in bytes of address space per worker.

        ``run`` is what a worker does with a picture; it must be a module's own function.
        """
        self._limits = limits
        self._workers = workers
        self._timeout = timeout
        self._memory = memory
        self._run = run
        self._turn = asyncio.Semaphore(workers)
        self._pool: ProcessPool | None = None
        # It goes on when the caller leaves: the workers it starts would be nobody's.
        self._repairs = SingleFlight[None, None](lasting=True)

    async def __aenter__(self) -> Self:
        """Start the workers and wait until they answer."""
        self._pool = await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers, whatever they are doing."""
        await self._repairs.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(_stop, pool)

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return what was received and what was made of it, or raise an ImageError."""
        with named(image):
            # In a thread for the digest and the inflating of large pictures that fit.
            inspection, report = await asyncio.to_thread(_look, image, self._limits)
            if report is None:
                report = await self.work(self._run, image, inspection, self._limits)
            return report

    async def contact_sheet(self, pictures: Sequence[PreparedImage]) -> ContactSheet:
        """Lay prepared pictures out on one sheet, in a worker: it has to decode them again."""
        return await self.work(contact_sheet, tuple(pictures), self._limits)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what ``function``, a module's own, makes of ``arguments`` in a worker.

        Raises what it raises, and an ImageError where the worker dies or takes too long.
        """
        async with self._turn:
            try:
                return await self._ask(function, arguments)
            except BrokenProcessPool:
                # Pebble gives its pool up when a worker dies between two pictures.
                await self._heal()
            try:
                return await self._ask(function, arguments)
            except BrokenProcessPool as error:
                raise ImageDecoderError("The picture crashed its decoder.") from error

    async def _ask(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        try:
            async with asyncio.timeout(self._timeout + GRACE):
                return await asyncio.wrap_future(self._schedule(function, arguments))
        except TimeoutError as error:
            raise ImageTimeoutError(
                f"Decoding the picture took more than {self._timeout:g} seconds and was stopped."
            ) from error
        except (ProcessExpired, MemoryError) as error:
            raise ImageDecoderError(
                "The picture crashed its decoder, or made it use up its memory."
            ) from error

    def _schedule(
        self, function: Callable[..., T], arguments: tuple[object, ...]
    ) -> ProcessFuture[T]:
        if self._pool is None:
            raise RuntimeError("the preparer is not open")
        if not self._pool.active:
            raise BrokenProcessPool("the pool has stopped")
        return self._pool.schedule(worker.run, (function, *arguments), timeout=self._timeout)

    async def _heal(self) -> None:
        """Wait for another pool, which all who find this one broken share."""
        await self._repairs.run(None, self._replace)

    async def _replace(self) -> None:
        if self._pool is None or self._pool.active:
            return
        broken, self._pool = self._pool, await asyncio.to_thread(self._start)
        await asyncio.to_thread(_stop, broken)

    def _start(self) -> ProcessPool:
        # Spawned and not forked: a fork of a process with threads can deadlock in the child,
        # and a fresh one starts in a tenth of a second.
        pool = ProcessPool(
            max_workers=self._workers,
            initializer=_set_up,
            initargs=(self._memory,),
            context=get_context("spawn"),
        )
        for ready in [pool.schedule(_ready) for _ in range(self._workers)]:
            ready.result()
        return pool


def _look(image: ReceivedImage, limits: ImageLimits) -> tuple[Inspection, ImageReport | None]:
    inspection = inspect(image.data, limits)
    report = prepare_undecoded(image, inspection, limits)
    if report is not None:
        report.prepared.sha256  # noqa: B018 - here, so that the event loop need not hash it
    return inspection, report


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates only a part
    pool.join()


def _set_up(memory: int) -> None:
    # Pebble's own handler is Python code, which never runs while a decoder hangs in C.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    worker.set_up(memory)


def _ready() -> None:
    """Answer, so that the starter knows that imports are done."""
