"""Threads for one kind of work that blocks, so that no other kind waits behind it.

asyncio's own pool is shared by all of a process's work in threads: eight slow tasks of one kind
would stop all the others.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most ``most`` threads, started on demand."""

    __slots__ = ("_pool",)

    def __init__(self, name: str, most: int = 1) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in one of the threads and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Accept no more work, and do not wait for threads that hang."""
        self._pool.shutdown(wait=False, cancel_futures=True)
