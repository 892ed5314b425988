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
"""Listeners on the same socket."""
HANDSHAKE = 0.02
"""Most seconds that a connection takes from its first segment on: many times the usual time between
a balancer and its replicas."""
EVENT_LOOP = "app.server.event_loop:EventLoop"


def tls(settings: Settings) -> ReloadedTls | None:
    """Return the TLS configuration; None without a certificate. Raises OSError or ValueError."""
    files = settings.tls_files
    return None if files is None else ReloadedTls(TlsFiles(*files))


class Server(uvicorn.Server):
    """Drains on the first signal: readiness fails, running calls finish, then it ends with 0.

    uvicorn alone stops listening at once, and raises the signal again when it has ended.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.settings = settings
        self.draining: asyncio.Task[None] | None = None
        self.listeners: list[socket.socket] = []
        self._alone = False
        """Whether no other process listens on these."""
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
                http=self._http,  # type: ignore[arg-type]  # uvicorn knows no buffered ones
                timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]  # a timer's delay
                # Past the grace time the streams have ended themselves; this is for the rest.
                timeout_graceful_shutdown=5
                + round(max(settings.shutdown_grace, settings.shutdown_idle)),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, with the allocator and the garbage collector tuned."""
        # Before there are threads, each of which would take a heap of its own.
        allocator.keep_blocks()
        descriptors.raise_limit()
        self._alone = sockets is None
        self.listeners = sockets or [listener.bound(self.settings.host, self.settings.port)]
        for each in self.listeners:
            # Python's dup makes the socket, which all workers share, wait as the original does: one
            # that serves already would stand still in `accept`.
            each.setblocking(False)
        # uvloop takes one new connection per listener with each turn of the loop: under load, with
        # turns of 50 ms, callers waited for seconds to be refused.
        copies = [each.dup() for each in self.listeners for _ in range(LISTENERS)]
        await super().startup(copies)
        if self.tls is not None:
            watch = self.tls.watch(self.settings.tls_reload)
            self.watching = asyncio.get_running_loop().create_task(watch)
        if sockets is None:
            self._log_started_message(self.listeners)
        # What is there now stays: AWS's service descriptions alone are hundreds of thousands of
        # objects. With Python's own thresholds a thousand requests in progress were looked
        # through more than once a second, which stopped everyone for 100 to 500 ms each time. What
        # is garbage by now stays too: some thousand objects, for which all others would be looked
        # through before the first request is answered.
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
        # A client that leaves, or is slow with its part of TLS, must not hold up the others.
        await asyncio.gather(*last, return_exceptions=True)
        # So that the protocols know all connections that were taken before.
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    def _last_connections(self) -> list[socket.socket]:
        """Close the listeners, and return the connections that still waited to be taken.

        The kernel makes connections as long as anyone has the socket open, and resets those that
        nobody took when the last one closes it.
        """
        taken: list[socket.socket] = []
        for each in self.listeners:
            with suppress(OSError):  # in the end that there is none
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
