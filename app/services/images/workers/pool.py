"""Decodes pictures in separate processes, which may hang, crash or run out of memory safely."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from app.domain.errors import ImageDecoderBusyError, ImageDecoderError, ImageTimeoutError
from app.domain.image import ImageLimits, ImageReport, PreparedImage, ReceivedImage
from app.services.concurrency.single_flight import SingleFlight
from app.services.images.drawing.sheet import ContactSheet, contact_sheet
from app.services.images.error_location import ImageErrorLocation
from app.services.images.inspection.header import Inspection
from app.services.images.prepare import inspect_and_prepare, prepare_decoded
from app.services.images.workers import process
from app.services.images.workers.process import Done
from app.services.images.workers.queue import DecoderQueue
from app.services.images.workers.spawn import DecoderContext
from app.telemetry import current

T = TypeVar("T")

CRASHED = "The picture crashed its decoder, or made it use up its memory."

WORKERS = 2
CPU = 5.0
"""Maximum CPU seconds for one piece of work; the slowest honest picture measured takes one."""
TIMEOUT = 8.0
"""Maximum seconds for one piece of work on a busy machine; a hostile file ends within ten."""
MEMORY = 1024 * 1024 * 1024
"""Address space of one worker in bytes, enough for a 100-megapixel progressive JPEG."""
GRACE = 4.0
"""Additional seconds before the pool counts as stuck, as workers may have to start first."""
REQUEST_CPU = 60.0
"""Maximum CPU seconds of decoding for one request, enough for fifty pages at a second each."""
LIGHT_PIXELS = 16_000_000
"""Maximum pixels of a picture that counts as light work."""
BUSY_RETRY = 5.0
"""Seconds after which to retry a picture that a busy machine could not decode in time."""


class PooledPreparer:
    """An `ImagePreparer` that decodes pictures in a few worker processes.

    Pictures that need no decoding never reach a worker. At most ``workers`` pictures are being
    decoded at a time; the others wait in turns of their callers and hold only their own bytes.
    Cancelling the caller stops the work.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        workers: int = WORKERS,
        timeout: float = TIMEOUT,
        cpu: float = CPU,
        memory: int = MEMORY,
        run: Callable[[ReceivedImage, Inspection, ImageLimits], ImageReport] = prepare_decoded,
        waits: bool = False,
    ) -> None:
        """Configure the pool without starting it.

        ``timeout`` and ``cpu`` limit each piece of work in seconds of wall clock and of CPU, and
        ``memory`` limits each worker's address space in bytes. ``run`` decodes a picture in a
        worker and must be a module-level function. With ``waits`` the workers start with the first
        piece of work rather than when the block is entered.
        """
        self._limits = limits
        self._workers = workers
        self._timeout = timeout
        self._cpu = cpu
        self._memory = memory
        self._run = run
        self._waits = waits
        self._open = False
        self._queue = DecoderQueue(workers)
        self._pool: ProcessPool | None = None
        # A start continues when its caller leaves, or its workers would be orphaned.
        self._starts = SingleFlight[None, None](lasting=True)

    async def __aenter__(self) -> Self:
        """Start the workers and wait until they are ready, unless ``waits`` is set."""
        self._open = True
        if not self._waits:
            await self._have_workers()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers, even while they are working."""
        self._open = False
        await self._starts.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(stop_pool, pool)

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report of a picture, or raise an ImageError."""
        with ImageErrorLocation(image):
            # Large pictures that fit are hashed and inflated, so this runs in a thread.
            inspection, report = await asyncio.to_thread(inspect_and_prepare, image, self._limits)
        return report or await self.decode(image, inspection)

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        """Return the report of a picture that must be decoded, or raise an ImageError."""
        facts = inspection.facts
        heavy = facts.width * facts.height > LIGHT_PIXELS
        with ImageErrorLocation(image):
            return await self._work(heavy, self._run, image, inspection, self._limits)

    async def contact_sheet(self, pictures: Sequence[PreparedImage]) -> ContactSheet:
        """Lay prepared pictures out on one sheet in a worker, which decodes them again."""
        return await self._work(False, contact_sheet, tuple(pictures), self._limits)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a module-level ``function`` in a worker and return its result.

        Its cost is unknown, so it counts as heavy work. Raises the function's errors, and an
        ImageError if the worker dies or takes too long, or if the request has used up its share
        of decoding time.
        """
        return await self._work(True, function, *arguments)

    async def _work(self, heavy: bool, function: Callable[..., T], *arguments: object) -> T:
        self._check_share()
        await self._queue.take(current().share, heavy=heavy)
        try:
            # Other work of the same request may have used up the share in the meantime.
            self._check_share()
            return await self._tried_twice(function, arguments)
        finally:
            self._queue.release(heavy=heavy)

    def _check_share(self) -> None:
        """Raise ImageTimeoutError if the request has used up its decoding time."""
        record = current()
        if record.decoder_timeouts:
            raise ImageTimeoutError(
                "Decoding another part of the request took too long; nothing more of it is decoded."
            )
        most = max(REQUEST_CPU, record.decoder_seconds)
        if record.decoder_ms >= 1000 * most:
            raise ImageTimeoutError(
                f"The request used up the {most:g} seconds of decoding that one may take; "
                "send fewer pages at a time."
            )

    async def _tried_twice(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        if self._pool is None:
            await self._have_workers()
        try:
            return await self._ask(function, arguments)
        except BrokenProcessPool:
            # Pebble closes its pool if a worker dies between two pictures.
            await self._have_workers()
        try:
            return await self._ask(function, arguments)
        except BrokenProcessPool as error:
            raise ImageDecoderError("The picture crashed its decoder.") from error

    async def _ask(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        record = current()
        try:
            async with asyncio.timeout(self._timeout + GRACE):
                done = await asyncio.wrap_future(self._schedule(function, arguments))
        except TimeoutError as error:
            record.decoder_timeouts += 1
            raise ImageDecoderBusyError(
                f"Decoding the picture did not finish within {self._timeout:g} seconds on a busy "
                "machine, and was stopped.",
                retry_after=BUSY_RETRY,
            ) from error
        except ProcessExpired as error:
            if error.exitcode == -process.OUT_OF_TIME:
                record.decoder_timeouts += 1
                record.decoder_ms += 1000 * self._cpu
                raise ImageTimeoutError(
                    f"Decoding the picture took more than {self._cpu:g} seconds of CPU and was "
                    "stopped."
                ) from error
            raise ImageDecoderError(CRASHED) from error
        except MemoryError as error:
            raise ImageDecoderError(CRASHED) from error
        record.decoder_ms = round(record.decoder_ms + 1000 * done.cpu, 1)
        return done.result

    def _schedule(
        self, function: Callable[..., T], arguments: tuple[object, ...]
    ) -> ProcessFuture[Done[T]]:
        if self._pool is None:
            raise RuntimeError("the preparer is not open")
        if not self._pool.active:
            raise BrokenProcessPool("the pool has stopped")
        return self._pool.schedule(
            process.run, (self._cpu, function, *arguments), timeout=self._timeout
        )

    async def _have_workers(self) -> None:
        """Wait for a working pool; concurrent callers share one start."""
        await self._starts.run(None, self._replace)

    async def _replace(self) -> None:
        before = self._pool
        if not self._open or (before is not None and before.active):
            return
        self._pool = await asyncio.to_thread(self._start)
        if before is not None:
            await asyncio.to_thread(stop_pool, before)

    def _start(self) -> ProcessPool:
        pool = ProcessPool(
            max_workers=self._workers,
            initializer=process.set_up,
            initargs=(self._memory,),
            context=DecoderContext(),
        )
        for ready in [pool.schedule(process.ready, (self._run,)) for _ in range(self._workers)]:
            ready.result()
        return pool


def stop_pool(pool: ProcessPool) -> None:
    """Stop the workers, even while they are working, and wait for their end."""
    pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates only a part
    pool.join()
