"""Listens, and shuts down without losing a request."""

import asyncio
import gc
import socket
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app import allocator
from app.adapters.tls_files import TlsFiles
from app.server import descriptors, listener
from app.server.protocol import SharedBufferProtocol
from app.server.tls import ReloadedTls
from app.services.registry import Services
from app.settings import Settings

LISTENERS = 32
"""Number of listeners on the same socket."""
HANDSHAKE = 0.02
"""Maximum seconds for the kernel to establish a connection: many times the usual time between a
balancer and its replicas."""
EVENT_LOOP = "app.server.event_loop:EventLoop"


def tls(settings: Settings) -> ReloadedTls | None:
    """Return the TLS configuration; None without a certificate. Raises OSError or ValueError."""
    files = settings.tls_files
    return None if files is None else ReloadedTls(TlsFiles(*files))


class Server(uvicorn.Server):
    """Drains on the first signal: readiness fails, running calls finish, then it exits with 0.

    uvicorn itself stops listening at once, and raises the signal again at its end.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.settings = settings
        self.draining: asyncio.Task[None] | None = None
        self.listeners: list[socket.socket] = []
        self._alone = False
        """Whether no other process listens on the same sockets."""
        self.tls = tls(settings)
        self.watching: asyncio.Task[None] | None = None
        self._http = partial(SharedBufferProtocol, last_seconds=settings.shutdown_idle)
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                loop=EVENT_LOOP,
                ssl_context_factory=self.tls.give if self.tls else None,
                http=self._http,  # type: ignore[arg-type] # uvicorn's types lack buffered protocols
                timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]  # a timer's delay
                # Streams end themselves after the grace time; this limit is for the rest.
                timeout_graceful_shutdown=5
                + round(max(settings.shutdown_grace, settings.shutdown_idle)),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tune the allocator and the garbage collector."""
        # This has to precede threads, each of which would get a heap of its own.
        allocator.keep_blocks()
        descriptors.raise_limit()
        self._alone = sockets is None
        self.listeners = sockets or [listener.bound(self.settings.host, self.settings.port)]
        for each in self.listeners:
            # Python's dup copies the original's blocking mode to the socket that all workers share:
            # a worker that already serves would block in `accept`.
            each.setblocking(False)
        # uvloop accepts one connection per listener in each turn of the loop: under load, with
        # turns of 50 ms, callers waited for seconds to be refused.
        copies = [each.dup() for each in self.listeners for _ in range(LISTENERS)]
        await super().startup(copies)
        if self.tls is not None:
            watch = self.tls.watch(self.settings.tls_reload)
            self.watching = asyncio.get_running_loop().create_task(watch)
        if sockets is None:
            self._log_started_message(self.listeners)
        # All present objects are exempt from collection: AWS's service descriptions alone are
        # hundreds of thousands. With Python's default thresholds, a thousand requests in progress
        # caused more than one collection a second, each of which stopped everything for 100 to 500
        # ms. Some thousand objects of present garbage are kept too, as finding them would delay the
        # first answer.
        gc.freeze()
        gc.set_threshold(5_000, 5, 1_000)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends the delay."""
        if self.draining is not None or not self.started:
            super().handle_exit(sig, frame)
            return
        self.draining = asyncio.get_running_loop().create_task(self._drain())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, serve the connected clients, then end as uvicorn does."""
        if self._alone:
            for each in self.listeners:
                listener.refuse_new(each)
            await asyncio.sleep(HANDSHAKE)
        for server in self.servers:
            server.close()
        if self.watching is not None:
            self.watching.cancel()
        loop = asyncio.get_running_loop()
        context = self.tls.context if self.tls else None
        last = (
            loop.connect_accepted_socket(self._protocol, connection, ssl=context)
            for connection in self._last_connections()
        )
        # A client that leaves, or is slow in the TLS handshake, must not delay the others.
        await asyncio.gather(*last, return_exceptions=True)
        # Let the protocols learn of all connections that were accepted before.
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    def _last_connections(self) -> list[socket.socket]:
        """Close the listeners, and return the connections that were not accepted yet.

        The kernel establishes connections as long as any process has the socket open, and resets
        the unaccepted ones when the last process closes it.
        """
        taken: list[socket.socket] = []
        for each in self.listeners:
            with suppress(OSError):  # raised when none is left
                while True:
                    taken.append(each.accept()[0])
            each.close()
        return taken

    def _protocol(self) -> SharedBufferProtocol:
        return self._http(self.config, self.server_state, self.lifespan.state)

    async def _drain(self) -> None:
        services: Services = self.lifespan.state["services"]
        services.drain.begin()
        await asyncio.sleep(self.settings.shutdown_delay)
        self.should_exit = True
        await asyncio.sleep(self.settings.shutdown_grace)
        services.drain.close()
