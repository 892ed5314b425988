"""Writes answers: the head together with the first part of the body, in one piece.

uvicorn sends them apart, and checks each header by two regular expressions.
"""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

JOINED = 2**16
"""Maximum bytes of a body part that are copied behind the head; a second buffer costs more."""
_BODILESS = (204, 304)
_CONTROLS = bytes((*range(9), *range(10, 32), 127))
"""Bytes that no header may contain; each line ends with two of them."""


class AnswerWriter:
    """Calls the application for one request, and writes its answer in place of uvicorn.

    If no body part follows at once, the head is sent with the next turn of the event loop.
    """

    __slots__ = ("_app", "_chunked", "_cycle", "_head", "_later", "_left", "_loop", "_mute")

    def __init__(
        self, app: ASGIApp, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._app, self._cycle, self._loop = app, cycle, loop
        self._head = b""
        self._later: asyncio.Handle | None = None
        self._chunked = False
        self._left = 0
        """Bytes of the declared length that are still to be written."""
        self._mute = cycle.scope["method"] == "HEAD"

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        """Answer the request; uvicorn sends errors before the answer's start, and closes later."""
        try:
            await self._app(scope, receive, self.send)
        finally:
            self.flush()

    async def send(self, message: Message) -> None:
        """Send the answer's start or a part of its body. Header names are in lower case."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if cycle.response_complete:
            raise RuntimeError("the answer was complete")
        if cycle.response_started:
            self._part(message.get("body", b""), more=message.get("more_body", False))
        else:
            headers = [*cycle.default_headers, *message.get("headers", ())]
            self._start(message["status"], headers)

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        cycle, fields = self._cycle, dict(headers)
        tokens = fields.get(b"connection", b"").lower().split(b",")
        if b"close" in map(bytes.strip, tokens):
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        if b"content-length" in fields:
            self._left = 0 if self._mute else int(fields[b"content-length"])
        elif not self._mute and status not in _BODILESS:
            self._chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        self._head = STATUS_LINE[status] + _lines(headers)
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        self._later = self._loop.call_soon(self.flush)

    def _part(self, body: bytes, *, more: bool) -> None:
        if self._mute:
            body = b""
        elif self._chunked:
            # An empty chunk would end the answer.
            size = b"%x\r\n" % len(body)
            body = b"".join((size, body, b"\r\n")) if body else b""
            body = body if more else body + b"0\r\n\r\n"
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the answer's body is not as long as declared")
        self._write(body)
        if not more:
            self._complete()

    def _write(self, body: bytes) -> None:
        transport = self._cycle.transport
        if not self._head:
            transport.write(body)
        elif len(body) <= JOINED:
            transport.write(self._taken() + body)
        else:
            transport.writelines((self._taken(), body))

    def _taken(self) -> bytes:
        if self._later is not None:
            self._later.cancel()
        head, self._head = self._head, b""
        return head

    def _complete(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def flush(self) -> None:
        """Send the head if it is not sent yet."""
        if self._head and not self._cycle.transport.is_closing():
            self._cycle.transport.write(self._taken())


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the lines of ``headers`` and the empty one. Raises RuntimeError for invalid ones."""
    parts: list[bytes] = []
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    lines = b"".join(parts)
    if len(lines.translate(None, _CONTROLS)) != len(lines) - len(parts) // 2:
        raise RuntimeError("a header has a control character in it")
    return lines + b"\r\n"
