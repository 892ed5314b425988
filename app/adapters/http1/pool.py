"""Kept connections to one endpoint."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

from app.adapters.http1.connection import Http1
from app.adapters.http1.errors import ConnectError, ConnectTimeoutError
from app.adapters.http1.resolver import Resolver
from app.adapters.http1.sender import KEEP_ALIVE, Answer, Limits


@dataclass(slots=True)
class Pool:
    """Opens connections when they are needed and keeps them for a while. A Sender."""

    endpoint: str
    limits: Limits
    trusted: ssl.SSLContext
    resolver: Resolver
    _idle: deque[tuple[float, Http1]] = field(default_factory=deque)
    """Idle connections, each with the loop time since which it is idle, the longest first."""
    room: asyncio.Semaphore = field(init=False)
    """Slots for exchanges."""
    _sweeping: asyncio.TimerHandle | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __post_init__(self) -> None:
        self.room = asyncio.Semaphore(self.limits.max_connections)

    def post(self, path: str, headers: Mapping[str, str], body: Sequence[bytes]) -> "Exchange":
        """Send a POST; see `Sender`."""
        size = sum(map(len, body))
        return Exchange(self, _head("POST", path, {**headers, "Content-Length": str(size)}), body)

    def get(self, path: str, headers: Mapping[str, str]) -> "Exchange":
        """Send a GET; see `Sender`."""
        return Exchange(self, _head("GET", path, headers), ())

    async def close(self) -> None:
        """Close idle connections; others close once they are left."""
        while self._idle:
            self._idle.pop()[1].close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        # Sockets are closed with the loop's next turn.
        await asyncio.sleep(0)

    def idle(self) -> Http1 | None:
        """Return an open idle connection, or None."""
        # The last one used: it is the least likely to be closed by now.
        while self._idle:
            since, connection = self._idle.pop()
            if connection.reusable and self._loop.time() - since < KEEP_ALIVE:
                return connection
            connection.close()
        return None

    def keep(self, connection: Http1) -> None:
        """Keep a connection for the next exchange, or close it."""
        if not connection.reusable:
            connection.close()
            return
        self._idle.append((self._loop.time(), connection))
        if self._sweeping is None:
            self._sweep()

    def _sweep(self) -> None:
        """Close connections that were idle for too long, and schedule the next sweep."""
        self._sweeping = None
        while self._idle and self._idle[0][0] + KEEP_ALIVE <= self._loop.time():
            self._idle.popleft()[1].close()
        if self._idle:
            due = self._idle[0][0] + KEEP_ALIVE
            self._sweeping = self._loop.call_at(due, self._sweep)

    async def connect(self) -> Http1:
        """Open a connection, or raise ConnectTimeoutError or ConnectError."""
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                return await self._opened()
        except TimeoutError as error:
            raise ConnectTimeoutError(self.endpoint) from error
        # UnicodeError: a host name that no resolver takes.
        except (OSError, UnicodeError) as error:
            raise ConnectError(f"{self.endpoint}: {error}") from error

    async def _opened(self) -> Http1:
        address = urlsplit(self.endpoint)
        host, secure = address.hostname or "", address.scheme == "https"
        port = address.port or (443 if secure else 80)
        addresses = await self.resolver.resolve(host, port)
        try:
            opened = await start_connection(addresses, happy_eyeballs_delay=0.25)
        except OSError:
            self.resolver.forget(host, port)
            raise
        raw, connection = await self._loop.create_connection(
            lambda: Http1(self.endpoint, self.limits.read_timeout), sock=opened
        )
        # In two steps, as only the transport beneath TLS knows what is not sent yet.
        if secure:
            # uvloop would wait for a handshake with one that has hung up, up to the time limit.
            if raw.is_closing():
                raise ConnectionResetError("the connection was closed before TLS began")
            try:
                transport = await self._loop.start_tls(
                    raw, connection, self.trusted, server_hostname=host
                )
            except BaseException:
                raw.abort()
                raise
            assert transport is not None
            connection.secured(transport)
        return connection


class Exchange:
    """A context manager for one request and its answer, twice as fast as a generator's."""

    __slots__ = ("_body", "_connection", "_head", "_pool")

    def __init__(self, pool: Pool, head: bytes, body: Sequence[bytes]) -> None:
        self._pool = pool
        self._head = head
        self._body = body
        self._connection: Http1 | None = None

    async def __aenter__(self) -> Answer:
        """Send, and wait for the answer's head."""
        await self._pool.room.acquire()
        try:
            self._connection = self._pool.idle() or await self._pool.connect()
            self._connection.send(self._head, self._body)
            # The transport has what is not sent yet; the answer is waited for without.
            self._body = ()
            await self._connection.begun()
        except BaseException:
            self._leave()
            raise
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        """Return the connection to the pool."""
        self._leave()

    def _leave(self) -> None:
        if self._connection is not None:
            self._pool.keep(self._connection)
        self._pool.room.release()


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    # A list, which one call makes; a generator is called for each line.
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers):
        raise ValueError("a header has a line break in it")
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
