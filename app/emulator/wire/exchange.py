"""One HTTP request and its reply over ASGI; notices when the caller leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.emulator.wire.errors import AwsError, invalid

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 25_000_000
_T = TypeVar("_T")


class ClientLeftError(Exception):
    """The caller closed the connection before the answer was complete."""


class HungUpError(Exception):
    """The emulator cut the connection because of a fault."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its body, path still percent-encoded as it was signed."""

    method: str
    path: bytes
    query: bytes
    raw_headers: Headers
    headers: dict[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """The two halves of an ASGI connection."""

    scope: Scope
    receive: Receive
    send: Send

    async def request(self) -> Request:
        """Read the whole request, or refuse a body of more than 25,000,000 bytes."""
        headers: Headers = self.scope["headers"]
        return Request(
            method=self.scope["method"],
            path=self.scope["raw_path"],
            query=self.scope["query_string"],
            raw_headers=headers,
            headers=dict(headers),
            body=await self._body(),
        )

    async def _body(self) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await self._next()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            # Read on to the end, so that the caller gets the refusal and not a reset,
            # but keep nothing that will not be used.
            if size <= MAX_BODY:
                parts.append(part)
        if size > MAX_BODY:
            raise too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        return message

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole response."""
        headers.append((b"content-length", str(len(body)).encode()))
        await self.start(status, headers)
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, body: bytes) -> None:
        """Send a part of a streamed body at once."""
        await self.send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        """End a streamed body."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def unless_client_leaves(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what ``work`` returns; if the caller leaves first, cancel it.

        Raises `ClientLeftError` then. Call it only when the body has been read.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.left())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientLeftError
            return working.result()
        finally:
            await _cancelled(working, leaving)

    async def left(self) -> None:
        """Return when the connection is closed. The request's body must have been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def hang_up(self) -> None:
        """Cut the connection without an answer, as a broken network does.

        ASGI has no message for it, so the transport is taken from uvicorn's request cycle.
        """
        cycle: Any = getattr(self.send, "__self__", None)
        cycle.transport.abort()


def too_large() -> AwsError:
    """Return the 400 for a body over the service's limit."""
    return invalid(
        f"1 validation error detected: Value at 'body' failed to satisfy constraint: Member must"
        f" have length less than or equal to {MAX_BODY}"
    )


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
