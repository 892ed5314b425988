"""uvicorn's HTTP protocol, with bounds on what clients send and leave unread.

`app.api.pipeline.admission` bounds bodies and takes them from the request's `RequestChannel`, so
this protocol can't serve another application.
"""

import asyncio
from collections import deque
from typing import Any

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.api.pipeline.connection import CHANNEL, RequestChannel
from app.server import load_shedding, request_head
from app.server.answer_writer import AnswerWriter
from app.server.descriptors import Exhaustion
from app.server.load_shedding import LoadShedder

PARTS = 16
"""Body chunks (at most 256 KB each) to buffer before the size limit is checked again."""
WAITING = 16
"""Maximum pipelined requests behind the one in progress; one read could hold thousands."""
REFUSALS = 16
"""Maximum refusals in a row on one connection, which is then closed."""
FRAMING = 8
"""Minimum body bytes for each byte of chunk sizes and line ends: chunks of 48 bytes comply."""
CHUNKS = 500
"""Maximum chunks in one read; with more, other connections have their turn before the next."""
SMALL = 16 * 1024
"""Bytes read at a time, except for bodies that are not chunked: at most 3,000 chunks."""
MOVED = 16 * 1024
"""Minimum bytes of an answer that a client must read in `write_seconds`."""
INVALID = "Invalid HTTP request received."
_OFFERS = (b"upgrade", b"http2-settings")
"""Headers with which a client offers another protocol."""


class _TurnedAway:
    """Replaces uvicorn's request cycle after a refusal, and drops whatever still arrives."""

    response_complete = True
    message_event = asyncio.Event()


_TURNED_AWAY: Any = _TurnedAway()


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose heads are too long or too slow, or whose answers are not read."""

    max_head_bytes = 64 * 1024
    """Maximum bytes of a head: ten times what browsers and SDKs send."""
    head_seconds = 10.0
    """Seconds for a head to arrive, from the connection's start or a later request's first byte."""

    write_seconds = 30.0
    """Seconds for a client to read `MOVED` bytes of an answer, or the rest of it."""
    last_seconds = 3.0
    """Seconds for a connection to bring its last request at shutdown."""
    _going_down = False

    exhaustion = Exhaustion()

    _body_bytes = 0
    """Body bytes in the current read."""
    _chunks = 0
    """Body chunks in the current read."""
    _framing = 0
    """Framing bytes within the body beyond what its chunks need."""
    _refusals = 0
    """Requests refused in a row."""
    _head_bytes = 0
    """Bytes of the incomplete head, without those of a read that began with something else."""
    _head_ended = False
    """Whether a head has ended in the current read."""
    _header_bytes = 0
    _in_head = True
    _in_body = False
    _chunked = False
    _overdue: asyncio.TimerHandle | None = None
    _idle_since: float | None = None
    """The loop time since when no request is in progress; None during a request."""
    _idle_timer: asyncio.TimerHandle | None = None
    _unsent = 0
    """Unsent bytes at the last check."""
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first head."""
        super().connection_made(transport)
        self._channels: deque[RequestChannel] = deque()
        self._cycles: deque[Any] = deque()
        """The cycles of unanswered requests; uvicorn knows only the last one."""
        self._expect_head()
        if self.exhaustion.by(transport):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers and end the requests."""
        self._head_is_here()
        self._taken()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        for channel in self._channels:
            channel.lose()

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse the bytes, and count those of an incomplete head."""
        self._head_ended = False
        within_body, self._body_bytes, self._chunks = self._in_body, 0, 0
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if not self._declined(bytes(data[offer.args[0] :])):
                return
        except HttpParserError:
            self.send_400_response(INVALID)
            return
        if within_body and self._in_body and not self._head_ended:
            self._count_framing(len(data))
        if self._chunks > CHUNKS and not self.flow.read_paused:
            self.flow.pause_reading()
            self.loop.call_soon(self._read_on)
        # Most heads arrive in one piece and need no timer.
        if self._in_head:
            self._expect_head()
            if not self._head_ended:
                self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._close()

    def _declined(self, rest: bytes) -> bool:
        """Ignore a request's offer of another protocol.

        The parser would leave the request's body unread, or take it for the next request. Return
        whether reading can continue.
        """
        while True:
            method = self.parser.get_method()
            if method == b"CONNECT":
                self.send_400_response(INVALID)
                return False
            head = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
            head += [b"%s: %s" % header for header in map(_without_offer, self.headers) if header]
            again = b"\r\n".join((*head, b"", rest))
            self.parser = HttpRequestParser(self)
            # The same option as uvicorn's own parser.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            try:
                self.parser.feed_data(again)
            except HttpParserUpgrade as offer:
                # Another request in ``rest`` makes an offer.
                rest = again[offer.args[0] :]
            except HttpParserError:
                self.send_400_response(INVALID)
                return False
            else:
                return True

    def _count_framing(self, received: int) -> None:
        """Bound the framing within a body: chunk extensions and trailers."""
        allowed = self._body_bytes + self._body_bytes // FRAMING
        self._framing = max(0, self._framing + received - allowed)
        if self._framing > self.max_head_bytes:
            self.send_400_response(INVALID)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def in_one_piece(self) -> bool:
        """Tell whether the next bytes belong to a body that is not chunked."""
        return self._in_body and not self._chunked

    def on_message_begin(self) -> None:
        """Expect a head; the parser answers 400 to an exception here."""
        if len(self.pipeline) >= WAITING:
            raise ValueError("too many requests wait for the answer to the one before them")
        if self.transport.is_closing():
            raise ValueError("the connection ends after the previous answer")
        self._idle_since = None
        super().on_message_begin()
        self.scope["state"][CHANNEL] = self._channel = RequestChannel(on_refused=self._refused)
        self._channels.append(self._channel)
        self._header_bytes = self._framing = 0
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer, which is dropped: it must not carry credentials."""
        if not self._in_body:
            super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.max_head_bytes:
            raise ValueError("the request's headers are too long")

    def on_headers_complete(self) -> None:
        """Handle a complete head; refuse the request if the load shedder does."""
        self._head_is_here()
        request_head.check(self.parser.get_http_version(), self.url, self.headers)
        if self.parser.should_upgrade():
            # The request begins again once the offer is declined.
            self._channels.pop()
            return
        if not self._turned_away():
            super().on_headers_complete()
            self._cycles.append(self.cycle)
            if self._going_down:
                self.cycle.keep_alive = False
        self._in_body = True
        self._chunked = b"transfer-encoding" in [name for name, _ in self.headers]

    # uvicorn has ASGI types of its own, apart from Starlette's.
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        writer: Any = AnswerWriter(app, cycle, self.loop)
        super()._start_asgi_task(cycle, writer)

    def _turned_away(self) -> bool:
        load_shedder: LoadShedder | None = self.app_state.get(load_shedding.LOAD_SHEDDER)
        if load_shedder is None or load_shedder.has_room:
            return False
        before: Any = self.cycle
        if before is not None and not before.response_complete:
            return False
        keep = (
            self._refusals + 1 < REFUSALS
            and self.parser.get_http_version() != "1.0"
            and self.parser.should_keep_alive()
        )
        more = [*self.server_state.default_headers]
        if not keep:
            more.append((b"connection", b"close"))
        method, path = self.parser.get_method().decode(), self.url.decode("latin-1")
        answer = load_shedder.refusal(method, path, self.headers, self.client, more)
        if answer is None:
            return False
        self._refusals += 1
        self._channel.refused = True
        self.cycle = _TURNED_AWAY
        self.transport.write(answer)
        if not keep:
            self.transport.close()
        self.on_response_complete()
        return True

    def _refused(self) -> None:
        """Count a refusal, and close the connection at the last one allowed."""
        self._refusals += 1
        if self._refusals >= REFUSALS and self._cycles:
            self._cycles[0].keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer malformed input, and close the connection after the last answer.

        A request in progress is answered first; if its body is malformed, the body's reader
        answers.
        """
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            if self._in_body:
                self._channel.spoilt = True
                cycle.message_event.set()
            return
        # A request that was answered before its body arrived must not be answered again.
        if not self._in_body:
            self._answer_malformed(msg)
        self._close()

    def _answer_malformed(self, msg: str) -> None:
        load_shedder: LoadShedder | None = self.app_state.get(load_shedding.LOAD_SHEDDER)
        if load_shedder is None:
            super().send_400_response(msg)
            return
        more = [*self.server_state.default_headers, (b"connection", b"close")]
        # Until it has read the target, the parser returns a made-up method.
        method = self.parser.get_method().decode() if self.url else ""
        self.transport.write(
            load_shedder.malformed(method, self.url.decode("latin-1"), self.headers, more)
        )

    def on_message_complete(self) -> None:
        """Handle a complete body."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._channel.whole = True
        self._in_body = False
        if not self.pipeline:
            # Reading shows when the client leaves.
            self.flow.resume_reading()
        if self._idle_since is not None:
            # The rest of an answered request's body has arrived.
            self._idle()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body.

        uvicorn reads at most 64 KiB ahead of the application, wakes it for each part, and copies
        all buffered bytes each time. Here, if memory is reserved for the body, the application is
        woken only every `PARTS` parts and at the end.
        """
        self._body_bytes += len(body)
        self._chunks += 1
        if self.cycle.response_complete:
            return
        channel = self._channel
        channel.keep(body)
        if not channel.covered():
            if channel.unread > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            # The body's reader waits for memory, or reserves it later for the parts that are here.
            self.cycle.message_event.set()
        elif len(channel.parts) % PARTS == 0:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Forget the request, and continue with the next one."""
        if not self._channels.popleft().refused:
            self._refusals = 0
        if self._cycles:
            self._cycles.popleft()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_head:
            # Of a request that has begun, the time limit of heads applies.
            self._idle()

    def _idle(self) -> None:
        """Begin the idle time, which only the beginning of a request ends.

        It begins again when the body of an answered request has arrived. So the rest of such a body
        may take as long as a client may be idle, and a slow trickle does not hold the connection.
        """
        self._idle_since = self.loop.time()
        due = self._idle_since + self.timeout_keep_alive
        # A timer of an earlier idle time looks again; setting one for each request costs more.
        if self._idle_timer is not None and due < self._idle_timer.when():
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_at(due, self._look_at_idling)

    def _look_at_idling(self) -> None:
        """Close the connection if it was idle for too long, else look again later."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        due = self._idle_since + self.timeout_keep_alive
        if due <= self.loop.time():
            self._close()
        else:
            self._idle_timer = self.loop.call_at(due, self._look_at_idling)

    def pause_writing(self) -> None:
        """Pause the response until the client has read the sent bytes."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Resume the response."""
        super().resume_writing()
        self._taken()
        if self.transport.is_closing():
            self._close()

    def _close(self) -> None:
        """Close once the written bytes are sent, within the usual time limit."""
        self.transport.close()
        if self._untaken is None and self.transport.get_write_buffer_size():
            self._watch_taking()

    def _watch_taking(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._untaken = self.loop.call_later(self.write_seconds, self._look_at_taking)

    def _look_at_taking(self) -> None:
        """Disconnect a client that reads almost nothing, as it holds a call to the model."""
        if self._unsent - self.transport.get_write_buffer_size() < MOVED:
            self.transport.abort()
        else:
            self._watch_taking()

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def shutdown(self) -> None:
        """Accept one more request, unless the answer in progress can still announce the end.

        A client may send its next request at this very moment. If the connection were closed, the
        request would be lost, and a balancer does not repeat it, as it may have been billed.
        """
        self._going_down = True
        if self.last_seconds < self.timeout_keep_alive:
            self.timeout_keep_alive = self.last_seconds  # type: ignore[assignment]  # a timer's delay
        cycle: Any = self.cycle
        if not self._channels:
            self._idle()
        elif cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def _expect_head(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(self.head_seconds, self._close)

    def _head_is_here(self) -> None:
        self._head_bytes = 0
        self._head_ended = True
        self._in_head = False
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def _without_offer(header: tuple[bytes, bytes]) -> tuple[bytes, bytes] | None:
    name, value = header
    if name == b"connection":
        tokens = [token.strip() for token in value.split(b",")]
        return name, b", ".join(token for token in tokens if token.lower() not in _OFFERS)
    return None if name in _OFFERS else header


_READ = bytearray(2**18)
"""The read buffer of all connections; its bytes are parsed or copied at once.

The event loop's default copies everything once more, into `bytes`.
"""
_READ_SMALL = memoryview(_READ)[:SMALL]


class SharedBufferProtocol(asyncio.BufferedProtocol):
    """A `BoundedProtocol` that reads into one buffer shared by all connections.

    uvloop does so only for protocols that are not an `asyncio.Protocol`, as uvicorn's is.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        last_seconds: float = BoundedProtocol.last_seconds,
    ) -> None:
        """Take uvicorn's arguments for a protocol, and `BoundedProtocol.last_seconds`."""
        self._http = BoundedProtocol(config, server_state, app_state, _loop)
        self._http.last_seconds = last_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._http.connection_lost(exc)

    def get_buffer(self, _: int) -> bytearray | memoryview:
        """Return the buffer for the next bytes."""
        return _READ if self._http.in_one_piece() else _READ_SMALL

    def buffer_updated(self, nbytes: int) -> None:
        """Handle the bytes that were read into the buffer."""
        self._http.data_received(memoryview(_READ)[:nbytes])

    def eof_received(self) -> None:
        """Close, as uvicorn does."""

    def pause_writing(self) -> None:
        """Pause writing."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Resume writing."""
        self._http.resume_writing()
