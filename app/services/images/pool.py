"""Decode pictures in processes of their own, which may hang, crash or starve without harm."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from app.domain.errors import ImageDecoderBusyError, ImageDecoderError, ImageTimeoutError
from app.domain.image import ImageLimits, ImageReport, PreparedImage, ReceivedImage
from app.services.concurrency.single_flight import SingleFlight
from app.services.images import worker
from app.services.images.decoder_queue import DecoderQueue
from app.services.images.error_location import ImageErrorLocation
from app.services.images.header import Inspection, inspect
from app.services.images.prepare import prepare_decoded, prepare_undecoded
from app.services.images.sheet import ContactSheet, contact_sheet
from app.services.images.spawn import DecoderContext
from app.services.images.worker import Done
from app.telemetry import current

T = TypeVar("T")

CRASHED = "The picture crashed its decoder, or made it use up its memory."

WORKERS = 2
CPU = 5.0
"""Seconds of CPU for one piece of work. The slowest honest picture measured takes one."""
TIMEOUT = 8.0
"""Seconds of wall clock for it, for when the machine is busy: a hostile file ends within ten."""
MEMORY = 1024 * 1024 * 1024
"""Bytes of address space of one worker; it holds a 100-megapixel progressive JPEG."""
GRACE = 4.0
"""Seconds more until the pool itself is taken to be stuck: workers may have to be started first."""
REQUEST_CPU = 60.0
"""Seconds of CPU for all that one request has decoded: fifty pages at a second each, and some."""
LIGHT_PIXELS = 16_000_000
"""Pixels up to which a picture whose header was read counts as light work."""
BUSY_RETRY = 5.0
"""Seconds after which a picture that a busy machine was too slow for may be tried again."""


class PooledPreparer:
    """Prepares pictures in a few worker processes; an `ImagePreparer`.

    Pictures that need no decoding never reach a worker. At most ``workers`` pictures are with
    the workers at a time, the others wait here in turns of their callers, holding nothing but
    their own bytes. Cancelling the caller stops the work.
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
        """``timeout`` and ``cpu`` in seconds for each piece of work, of wall clock and of CPU;
        ``memory`` in bytes of address space for each worker.

        ``run`` is what a worker does with a picture; it must be a module's own function.
        ``waits`` starts the workers at the first piece of work, and not when this is entered.
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
        # A start goes on when the caller leaves: its workers would be nobody's.
        self._starts = SingleFlight[None, None](lasting=True)

    async def __aenter__(self) -> Self:
        """Start the workers and wait until they answer, unless they are to wait for work."""
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
        """Stop the workers, whatever they are doing."""
        self._open = False
        await self._starts.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(stop_pool, pool)

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report of the picture as received and as prepared, or raise an ImageError."""
        with ImageErrorLocation(image):
            # In a thread for the digest and the inflating of large pictures that fit.
            inspection, report = await asyncio.to_thread(look, image, self._limits)
        return report or await self.decode(image, inspection)

    async def decode(self, image: ReceivedImage, inspection: Inspection) -> ImageReport:
        """Return the report of a picture that has to be decoded, or raise an ImageError."""
        facts = inspection.facts
        heavy = facts.width * facts.height > LIGHT_PIXELS
        with ImageErrorLocation(image):
            return await self._work(heavy, self._run, image, inspection, self._limits)

    async def contact_sheet(self, pictures: Sequence[PreparedImage]) -> ContactSheet:
        """Lay prepared pictures out on one sheet, in a worker: it has to decode them again."""
        return await self._work(False, contact_sheet, tuple(pictures), self._limits)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return the result of a module-level ``function`` for ``arguments``, run in a worker.

        Nothing is known of what it costs, so that it leaves a worker to pictures. Raises what it
        raises, and an ImageError where the worker dies or takes too long, or the request has used
        up its share of the workers.
        """
        return await self._work(True, function, *arguments)

    async def _work(self, heavy: bool, function: Callable[..., T], *arguments: object) -> T:
        self._check_share()
        await self._queue.take(current().share, heavy=heavy)
        try:
            # Others of the same request may have used it up in the meantime.
            self._check_share()
            return await self._tried_twice(function, arguments)
        finally:
            self._queue.release(heavy=heavy)

    def _check_share(self) -> None:
        """Raise ImageTimeoutError where the request had its share of the workers."""
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
            # Pebble gives its pool up when a worker dies between two pictures.
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
                f"Decoding the picture was not done after {self._timeout:g} seconds, on a machine "
                "that is busy, and was stopped.",
                retry_after=BUSY_RETRY,
            ) from error
        except ProcessExpired as error:
            if error.exitcode == -worker.OUT_OF_TIME:
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
            worker.run, (self._cpu, function, *arguments), timeout=self._timeout
        )

    async def _have_workers(self) -> None:
        """Wait for a pool, which all share who find none or a broken one."""
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
            initializer=worker.set_up,
            initargs=(self._memory,),
            context=DecoderContext(),
        )
        for ready in [pool.schedule(worker.ready, (self._run,)) for _ in range(self._workers)]:
            ready.result()
        return pool


def look(image: ReceivedImage, limits: ImageLimits) -> tuple[Inspection, ImageReport | None]:
    """Inspect a picture, and prepare it if it needs no decoder; its digest is taken as well."""
    inspection = inspect(image.data, limits)
    report = prepare_undecoded(image, inspection, limits)
    if report is not None:
        report.prepared.sha256  # noqa: B018 - here, so that the event loop need not hash it
    return inspection, report


def stop_pool(pool: ProcessPool) -> None:
    """Stop the workers, whatever they are doing; waits for their end."""
    pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates only a part
    pool.join()
