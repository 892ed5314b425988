"""Looks names up in threads of its own, and caches them as long as a connection is kept."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.adapters.http1.sender import KEEP_ALIVE

AddressInfo = tuple[int, int, int, str, "tuple[str, int] | tuple[str, int, int, int]"]
"""An address as `socket.getaddrinfo` returns it."""
LookUp = Callable[[str, int], Sequence[AddressInfo]]
_MOST = 256
"""Names remembered; then all are forgotten."""


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system's resolver, or raise OSError. Blocks."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [entry for entry in addresses if len(entry[4]) in (2, 4)]  # type: ignore[misc]


@dataclass(slots=True)
class Resolver:
    """Looks up each name once at a time, however many calls wait for it.

    It does not use asyncio's own threads, as other work there would wait for a slow resolver.
    """

    threads: ThreadPoolExecutor
    look_up: LookUp = look_up
    keep: float = KEEP_ALIVE
    """Seconds for which an answer is kept."""
    _known: dict[tuple[str, int], tuple[float, Sequence[AddressInfo]]] = field(default_factory=dict)
    _asked: "dict[tuple[str, int], asyncio.Future[Sequence[AddressInfo]]]" = field(
        default_factory=dict
    )

    async def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Return the addresses of ``host``; raises OSError, or UnicodeError for a bad name."""
        loop, name = asyncio.get_running_loop(), (host, port)
        until, addresses = self._known.get(name, (0.0, ()))
        if loop.time() < until:
            return addresses
        if name not in self._asked:
            asked = loop.run_in_executor(self.threads, self.look_up, host, port)
            self._asked[name] = asked
            asked.add_done_callback(lambda answer: self._answered(name, answer))
        # A caller that gives up waiting does not cancel the look-up for the others.
        return await asyncio.shield(self._asked[name])

    def forget(self, host: str, port: int) -> None:
        """Look the name up again the next time, as none of its known addresses answers."""
        self._known.pop((host, port), None)

    def _answered(
        self, name: tuple[str, int], answer: "asyncio.Future[Sequence[AddressInfo]]"
    ) -> None:
        del self._asked[name]
        if answer.cancelled() or answer.exception() is not None:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name] = answer.get_loop().time() + self.keep, answer.result()


@asynccontextmanager
async def open_resolver(most: int = 4) -> AsyncIterator[Resolver]:
    """Open a resolver with ``most`` threads."""
    threads = ThreadPoolExecutor(most, thread_name_prefix="names")
    try:
        yield Resolver(threads)
    finally:
        # A thread that hangs is not waited for.
        threads.shutdown(wait=False, cancel_futures=True)
