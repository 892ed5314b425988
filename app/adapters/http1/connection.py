"""One HTTP/1.1 connection: a POST at a time, and its answer as it arrives.

aiohttp does the same with several times the CPU, most of it for features that calls of Bedrock
never need. The parser is the one that the service listens with.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from app.adapters.http1.errors import DisconnectedError, Http1Error, ReadTimeoutError
from app.adapters.http1.sender import JOINED, MAX_ANSWER

_UNREAD = 2**18
"""Maximum unread bytes of an answer; beyond, the socket is paused."""
_MAX_HEAD = 2**16


class Http1(asyncio.Protocol):
    """A connection. Raises DisconnectedError and ReadTimeoutError."""

    __slots__ = (
        "_active",
        "_chunks",
        "_error",
        "_head_size",
        "_keep",
        "_loop",
        "_parser",
        "_paused",
        "_raw",
        "_read_timeout",
        "_size",
        "_timer",
        "_to_the_end",
        "_transport",
        "_unread",
        "_unsent",
        "_url",
        "_waiter",
        "complete",
        "headers",
        "status",
    )

    def __init__(self, url: str, read_timeout: float) -> None:
        self._url = url
        """The endpoint, which errors name."""
        self._read_timeout = read_timeout
        """Seconds without a byte."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Http1Error | None = None
        self._keep = True
        self._paused = False
        self._parser = HttpResponseParser(self)
        self.complete = True

    # The caller's side.

    def send(self, head: bytes, body: Sequence[bytes]) -> None:
        """Begin an exchange; the last one must be complete."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = self._to_the_end = False
        self._chunks: list[bytes] = []
        self._unread = self._head_size = self._unsent = 0
        self._size = sum(map(len, body))
        if len(body) == 1 and len(body[0]) <= JOINED:
            self._transport.write(head + body[0])
        else:
            self._transport.writelines((head, *body))
        self._active = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._active + self._read_timeout, self._look)

    async def begun(self) -> None:
        """Wait for the answer's status and headers."""
        while not self.status:
            await self._wait()

    async def read(self) -> bytes:
        """Return the unread rest of the answer's body, or raise DisconnectedError."""
        pieces, size = [], 0
        while piece := await self.readany():
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER:
                self._keep = False
                raise DisconnectedError(f"{self._url}: the answer is longer than {MAX_ANSWER:,} B")
        return b"".join(pieces)

    async def readany(self) -> bytes:
        """Return the bytes since the last call, waiting if there are none; empty at the end."""
        while not self._chunks and not self.complete:
            await self._wait()
        return self._take()

    @property
    def reusable(self) -> bool:
        """Whether another exchange may begin."""
        closing = self._transport.is_closing()
        ready = self.complete and self._keep and not self._paused and not closing
        # The next call would wait, perhaps for ever, behind a body that is still being sent.
        return ready and not self.unsent

    @property
    def unsent(self) -> int:
        """Bytes that the socket has not taken yet."""
        size = self._transport.get_write_buffer_size()
        return size if self._raw is self._transport else size + self._raw.get_write_buffer_size()

    def secured(self, transport: asyncio.Transport) -> None:
        """Use ``transport``, which encrypts, from now on."""
        self._transport = transport

    def close(self) -> None:
        """Close at once; unsent bytes are dropped."""
        self._transport.abort()

    def _take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks = []
        self._unread = 0
        if self._paused:
            self._paused = False
            self._active = self._loop.time()
            self._transport.resume_reading()
        return taken

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enable TCP keep-alive, so that routers on the way don't drop the connection."""
        self._raw = self._transport = cast("asyncio.Transport", transport)
        # NAT gateways and VPC endpoints cut a connection that is silent for 350 s.
        opened: socket.socket = transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Parse the answer's bytes."""
        if self.complete:
            # No request was sent.
            self._keep = False
            self._transport.abort()
            return
        self._active = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(DisconnectedError(f"{self._url}: {error!r}"))
        self._wake()
        if self._unread > _UNREAD:
            self._pause()

    def _pause(self) -> None:
        if not (self.complete or self._paused):
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete an answer that ends with the connection; fail any other unfinished one."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.complete:
            if self._to_the_end and exc is None:
                self.on_message_complete()
                self._wake()
            else:
                self._fail(DisconnectedError(f"{self._url}: {exc!r}"))
        # The protocol and its parser refer to each other.
        del self._parser

    def _look(self) -> None:
        """Fail if nothing has moved for too long, else check again later."""
        self._timer = None
        if self.complete:
            return
        unsent = self.unsent
        # The upstream is not silent if it is our reader that is slow.
        if unsent != self._unsent or self._paused:
            self._unsent, self._active = unsent, self._loop.time()
        due = self._active + self._read_timeout
        if due <= self._loop.time():
            self._fail(ReadTimeoutError(f"{self._url}: no bytes for {self._read_timeout} s"))
        else:
            self._timer = self._loop.call_at(due, self._look)

    def _fail(self, error: Http1Error) -> None:
        if self._error is None:
            self._error = error
        self._keep = False
        self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The parser's side.

    def on_message_begin(self) -> None:
        """Refuse a second answer."""
        if self.complete:
            raise ValueError("the server sent a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._head_size += len(name) + len(value)
        if self._head_size > _MAX_HEAD:
            raise ValueError("the answer's head is too long")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Begin the answer, unless this is an interim response."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        # A refusal of a large body may have come before all of it was read, and what reads no
        # further still looks as if it did while the sockets' buffers hold the rest.
        if self.unsent or (status >= 400 and self._size > JOINED):
            self._keep = False
        self._to_the_end = not self.headers.keys() & {"content-length", "transfer-encoding"}

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._chunks.append(data)
        self._unread += len(data)

    def on_message_complete(self) -> None:
        """End the answer."""
        if self.status:
            self.complete = True
            self._keep = self._keep and self._parser.should_keep_alive()
