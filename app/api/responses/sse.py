"""Server-sent events: transport only.

FastAPI's own support sends 200 before a route function yields anything. Here the first event has
been awaited before the response exists, so that the route can still answer with an error.
"""

import asyncio
from collections.abc import AsyncGenerator

from fastapi.sse import format_sse_event
from starlette.types import Message, Receive, Scope, Send

from app.api.responses.streaming import Streamed
from app.domain.json_line import on_one_line

HEARTBEAT = format_sse_event(comment="keep-alive")


class EventStream(Streamed):
    """Sends events as they are produced, and a comment whenever nothing was sent for a while."""

    def __init__(self, events: AsyncGenerator[bytes], heartbeat: float) -> None:
        super().__init__(
            events,
            "text/event-stream",
            # These tell proxies not to buffer; the second one is nginx's.
            {"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self.heartbeat = heartbeat
        """Seconds of silence after which a comment is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        beating: asyncio.Task[None] | None = None

        async def sending(message: Message) -> None:
            nonlocal last
            if beating is not None and not message.get("more_body", True):
                # Nothing may be sent after the end.
                beating.cancel()
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

        beating = asyncio.create_task(beat())
        try:
            await super().__call__(scope, receive, sending)
        finally:
            beating.cancel()
            beating = None  # It would form a reference cycle with ``sending``.


def event(name: str, data: bytes) -> bytes:
    """Encode one event; ``data`` is JSON, which contains no ASCII line breaks."""
    line = data if data.isascii() else on_one_line(data)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), line)


def data(payload: bytes) -> bytes:
    """Encode one event without a name, as OpenAI's streams have them; ``payload`` is JSON."""
    return b"data: %b\n\n" % on_one_line(payload)
