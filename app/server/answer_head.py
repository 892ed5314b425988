"""Sends an answer's head together with the first part of its body, which uvicorn sends apart."""

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

JOINED = 2**16
"""Maximum bytes of a body part that are copied behind the head; a second buffer costs more."""


class AnswerHead:
    """The transport of an answer until its first body part; then the cycle gets its own back.

    If no body part follows at once, the head is sent with the next turn of the event loop.
    """

    __slots__ = ("_cycle", "_head", "_later", "_loop", "_transport")

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle, self._transport, self._loop = cycle, cycle.transport, loop
        self._head = b""
        self._later: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """Keep the head; send it with the first body part."""
        if not self._cycle.response_started:
            # An interim response (100 Continue).
            self._transport.write(data)
        elif self._later is None:
            self._head, self._later = data, self._loop.call_soon(self.flush)
        else:
            self._later.cancel()
            self._cycle.transport = self._transport
            head, self._head = self._head, b""
            if len(data) <= JOINED:
                self._transport.write(head + data)
            else:
                self._transport.writelines((head, data))

    def flush(self) -> None:
        """Send the head if it is not sent yet."""
        self._cycle.transport = self._transport
        if self._head and not self._transport.is_closing():
            head, self._head = self._head, b""
            self._transport.write(head)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or being closed."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Send the head if it is not sent yet, and close the connection."""
        self.flush()
        self._transport.close()
