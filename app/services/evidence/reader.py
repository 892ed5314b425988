"""Reads images with the OCR engine in processes of its own."""

import asyncio
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import structlog
from pebble import ProcessExpired, ProcessPool

from app.services.evidence import engine
from app.services.evidence.words import Word
from app.services.images.workers import process
from app.services.images.workers.pool import stop_pool
from app.services.images.workers.spawn import DecoderContext

log = structlog.get_logger()

CPU = 20.0
"""Maximum CPU seconds for one image; a dense page takes six."""
TIMEOUT = 30.0
"""Maximum seconds for one image, not counting the loading of the engine before the first."""
MEMORY = 4 * 1024 * 1024 * 1024
"""Address space of one process in bytes, most of which the engine's libraries take."""
PICTURES = 200
"""Images after which a process is replaced, since unusual sizes increase the engine's memory."""


class Reader(Protocol):
    """Reads the words in images, independently of the model."""

    @property
    def able(self) -> bool:
        """Return whether this reader can read."""
        ...

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        """Return the words in an image; None if it could not be read or there is no engine."""
        ...


class NoReader:
    """The reader of a service without an OCR engine."""

    able = False

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:  # noqa: ARG002 - the port's
        """Return None."""
        return None


class PooledReader:
    """Reads with an OCR engine in a pool of processes, which exists inside its block."""

    able = True

    def __init__(self, *, workers: int = 1, memory: int = MEMORY) -> None:
        """Set the number of processes and the address space of each in bytes."""
        self._workers = workers
        self._memory = memory
        self._turn = asyncio.Semaphore(workers)
        self._pool: ProcessPool | None = None

    async def __aenter__(self) -> Self:
        """Create the pool, whose processes start and load the engine at the first image."""
        self._pool = self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes, even while they are working."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(stop_pool, pool)

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        """Return the words in an image, or None and a log line if it could not be read."""
        async with self._turn:
            try:
                return await self._read(picture)
            except (ProcessExpired, BrokenProcessPool, TimeoutError, CancelledError) as error:
                # A paid answer is returned even without its evidence.
                log.warning("evidence not read", reason=type(error).__name__)
            except (MemoryError, OSError, ValueError, RuntimeError) as error:
                log.warning("evidence not read", reason=type(error).__name__)
        return None

    async def _read(self, picture: bytes) -> tuple[Word, ...]:
        if self._pool is None:
            raise RuntimeError("the reader is not open")
        if not self._pool.active:
            broken, self._pool = self._pool, self._started()
            await asyncio.to_thread(stop_pool, broken)
        future = self._pool.schedule(process.run, (CPU, engine.read, picture), timeout=TIMEOUT)
        done: process.Done[tuple[Word, ...]] = await asyncio.wrap_future(future)
        return done.result

    def _started(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._workers,
            max_tasks=PICTURES,
            initializer=_set_up,
            initargs=(self._memory,),
            context=DecoderContext(),
        )


def _set_up(memory: int) -> None:
    """Limit a process to ``memory`` bytes of address space and load the engine into it."""
    process.set_up(memory)
    # An engine that can't be loaded fails again at each image, where that is logged.
    with suppress(Exception):
        engine.load()
