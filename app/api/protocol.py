"""uvicorn's HTTP protocol with bounds on a request's head, which it has none of.

Bodies are bounded, and taken from the request's `Link`, by `app.api.entrance`: no other
application can be served with it.
"""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api import turnstile as turnstiles
from app.api.link import STATE, Link
from app.api.turnstile import Turnstile

PARTS = 16
"""Of a body, each at most 256 KB, between two looks at whether it has become too large."""


_READ = bytearray(2**18)
"""Where all connections read to: what has come is parsed at once, and what is kept of it copied.

The event loop's own way copies all of it once more, into `bytes` of its own."""


class _TurnedAway:
    """In place of uvicorn's cycle of a request and its answer: what still comes is dropped."""

    response_complete = True
    message_event = asyncio.Event()


_TURNED_AWAY: Any = _TurnedAway()


class BoundedProtocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """Closes a connection whose request line and headers are too long or come too slowly."""

    max_head_bytes = 64 * 1024
    """Ten times what browsers and SDKs send."""
    head_seconds = 10.0
    """From the connection, or a further request's first byte, to the end of the headers."""

    last_seconds = 1.0
    """For a request to come that is on its way when the server goes down."""

    _head_bytes = 0
    """Of a head that is not complete."""
    _header_bytes = 0
    _in_head = True
    _in_body = False
    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the first head."""
        super().connection_made(transport)
        self._links: deque[Link] = deque()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more, and have the requests end."""
        self._head_is_here()
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)
        for link in self._links:
            link.lose()

    def get_buffer(self, _: int) -> bytearray:
        """Return where the next bytes go."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Take them from there."""
        self.data_received(memoryview(_READ)[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Count what has come of an unfinished head."""
        super().data_received(data)  # type: ignore[arg-type]  # its parser takes any buffer
        # A head mostly comes in one piece, and needs no timer.
        if self._in_head:
            self._expect_head()
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Expect a head."""
        super()._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope["state"][STATE] = self._link = Link()
        self._links.append(self._link)
        self._header_bytes = 0
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; the parser answers 400 to what is raised here."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.max_head_bytes:
            raise ValueError("the request's headers are too long")

    def on_headers_complete(self) -> None:
        """Take the head for complete, and turn the request away where the door does."""
        self._head_is_here()
        if not self._turned_away():
            super().on_headers_complete()
        self._in_body = True

    def _turned_away(self) -> bool:
        turnstile: Turnstile | None = self.app_state.get(turnstiles.STATE)
        before: Any = self.cycle
        if turnstile is None or not (before is None or before.response_complete):
            return False
        keep = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        more = [*self.server_state.default_headers]
        if not keep:
            more.append((b"connection", b"close"))
        method, path = self.parser.get_method().decode(), self.url.decode("latin-1")
        answer = turnstile.refusal(method, path, self.headers, self.client, more)
        if answer is None:
            return False
        self.cycle = _TURNED_AWAY
        self.transport.write(answer)
        if not keep:
            self.transport.close()
        self.on_response_complete()
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser can't read, and close the connection behind the last answer.

        Whatever is being answered is answered first; where this is its body, by whoever reads it.
        """
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            if self._in_body:
                self._link.spoilt = True
                cycle.message_event.set()
            return
        # One that was answered before its body came must not be answered again.
        if not self._in_body:
            self._answer_malformed(msg)
        self.transport.close()

    def _answer_malformed(self, msg: str) -> None:
        turnstile: Turnstile | None = self.app_state.get(turnstiles.STATE)
        if turnstile is None:
            super().send_400_response(msg)
            return
        more = [*self.server_state.default_headers, (b"connection", b"close")]
        # Before it has read the target, the parser has none but a made-up method.
        method = self.parser.get_method().decode() if self.url else ""
        self.transport.write(
            turnstile.malformed(method, self.url.decode("latin-1"), self.headers, more)
        )

    def on_message_complete(self) -> None:
        """Take the body for complete."""
        super().on_message_complete()
        self._link.whole = True
        self._in_body = False
        # To see the client leave.
        self.flow.resume_reading()
        if self.timeout_keep_alive_task is not None:
            self._idle()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body.

        uvicorn reads no further than 64 KiB ahead of the application, wakes it for each part, and
        copies all that is there for each that comes. Where there is room for the whole body the
        application is woken now and then, or when all is here.
        """
        if self.cycle.response_complete:
            return
        link = self._link
        link.keep(body)
        if not link.admitted:
            if link.unread > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        elif len(link.parts) % PARTS == 0:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Forget the request; those behind it are answered in their order."""
        self._links.popleft()
        super().on_response_complete()
        if self._in_head:
            # The next request has begun, and has the time of a head.
            super()._unset_keepalive_if_required()

    def _unset_keepalive_if_required(self) -> None:
        """Go on counting idle time, which uvicorn ends here, with any byte.

        Only a request that begins ends it, and it begins anew only where the body of one that was
        answered before has come. So the rest of a body has as long to be dropped as a client may
        be idle, and a drip holds nothing.
        """

    def _idle(self) -> None:
        super()._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def shutdown(self) -> None:
        """Close behind the request in progress, or behind one that is on its way."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.loop.call_later(self.last_seconds, super().shutdown)
        else:
            super().shutdown()

    def _expect_head(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(self.head_seconds, self.transport.close)

    def _head_is_here(self) -> None:
        self._head_bytes = 0
        self._in_head = False
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
