"""Threads for work on callers' bytes, taken in turns by caller."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import ParamSpec, TypeVar

from app.services.concurrency.fair_queue import FairQueue
from app.services.concurrency.threads import Threads
from app.telemetry import current

P = ParamSpec("P")
T = TypeVar("T")


class FairThreads:
    """At most ``most`` threads; if all are busy, callers take turns.

    A thread can't be stopped: it counts as taken until its work ends, even if nobody waits.
    """

    __slots__ = ("_free", "_line", "_threads")

    def __init__(self, name: str, most: int = 1) -> None:
        self._threads = Threads(name, most)
        self._free = most
        self._line = FairQueue(self._release)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in one of the threads and return its result."""
        if self._free and not self._line.length:
            self._free -= 1
        else:
            await self._line.wait(current().share, nullcontext())
        work = asyncio.ensure_future(self._threads.run(function, *args, **kwargs))
        work.add_done_callback(lambda _: self._release())
        try:
            return await asyncio.shield(work)
        finally:
            # Its exception holds this frame: with the work in it, a circle around a picture.
            del work

    def close(self) -> None:
        """Accept no more work, and wait for none."""
        self._threads.close()

    def _release(self) -> None:
        if not self._line.admit():
            self._free += 1
