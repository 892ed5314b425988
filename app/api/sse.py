"""Server-sent events: transport only.

FastAPI's own support streams whatever a route function yields, after it has sent 200; here the
first event has been awaited before the response exists, so the route returns it.
"""

import asyncio
from collections.abc import AsyncGenerator

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Message, Receive, Scope, Send

HEARTBEAT = format_sse_event(comment="keep-alive")


class EventStream(EventSourceResponse):
    """Sends events as they are made, and a comment whenever nothing was sent for a while."""

    def __init__(self, events: AsyncGenerator[bytes], heartbeat: float) -> None:
        super().__init__(
            events,
            # Proxies are told not to buffer: the second is nginx's.
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self.events = events
        self.heartbeat = heartbeat
        """Seconds."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Stream; close the events whatever happens. Who leaves is noticed by the middleware."""
        loop = asyncio.get_running_loop()
        last = loop.time()

        async def sending(message: Message) -> None:
            nonlocal last
            await send(message)
            last = loop.time()

        async def beat() -> None:
            while True:
                silent = loop.time() - last
                if silent >= self.heartbeat:
                    await sending(
                        {"type": "http.response.body", "body": HEARTBEAT, "more_body": True}
                    )
                    silent = 0
                await asyncio.sleep(self.heartbeat - silent)

        await self._start(sending)
        beating = asyncio.create_task(beat())
        try:
            async for event in self.events:
                await sending({"type": "http.response.body", "body": event, "more_body": True})
        finally:
            beating.cancel()
            await self.events.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )


def event(name: str, data: bytes) -> bytes:
    """Encode one event; ``data`` is JSON, so it has no line break."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def data(payload: bytes) -> bytes:
    """Encode one event without a name, as OpenAI's streams have them."""
    return b"data: %b\n\n" % payload
