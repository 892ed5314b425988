"""Reads pictures a second time, in processes of its own which hold the engine."""

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
from app.services.images import worker
from app.services.images.pool import stop_pool
from app.services.images.spawn import DecoderContext

log = structlog.get_logger()

CPU = 20.0
"""Seconds of CPU for one picture; a dense page takes six."""
TIMEOUT = 30.0
"""Seconds of wall clock for it; loading the engine before the first is not counted."""
MEMORY = 4 * 1024 * 1024 * 1024
"""Bytes of address space of one process, of which the engine's libraries take most."""
PICTURES = 200
"""Pictures after which a process is replaced: the engine's memory grows with odd sizes."""


class Reader(Protocol):
    """Reads the words in pictures, independently of the model."""

    @property
    def able(self) -> bool:
        """Whether it reads at all."""
        ...

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        """Return the words in a picture; None where it could not be read, or nothing reads."""
        ...


class NoReader:
    """Reads nothing."""

    able = False

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:  # noqa: ARG002 - the port's
        """Return None."""
        return None


class PooledReader:
    """Reads with an OCR engine. Starts its processes when it is entered."""

    able = True

    def __init__(self, *, workers: int = 1, memory: int = MEMORY) -> None:
        """``memory`` in bytes of address space of each process."""
        self._workers = workers
        self._memory = memory
        self._turn = asyncio.Semaphore(workers)
        self._pool: ProcessPool | None = None

    async def __aenter__(self) -> Self:
        """Make the pool; its processes start, and load the engine, at the first picture."""
        self._pool = self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes, whatever they are doing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(stop_pool, pool)

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        """Return the words in a picture; None where it could not be read, which is logged."""
        async with self._turn:
            try:
                return await self._read(picture)
            except (ProcessExpired, BrokenProcessPool, TimeoutError, CancelledError) as error:
                # An answer that has been paid for is worth more than its evidence.
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
        future = self._pool.schedule(worker.run, (CPU, engine.read, picture), timeout=TIMEOUT)
        done: worker.Done[tuple[Word, ...]] = await asyncio.wrap_future(future)
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
    """Bound a process to ``memory`` bytes of address space and load the engine into it."""
    worker.set_up(memory)
    # One that can't be loaded fails again at each picture, where that is logged.
    with suppress(Exception):
        engine.load()
