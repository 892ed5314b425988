"""A response that is sent in pieces as they are produced."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.domain.generation import GenerationEvents, Started

T = TypeVar("T")


class Streamed(StreamingResponse):
    """Sends pieces, and at the end closes their generator and its source.

    The middleware notices clients that leave; Starlette's own class would compete with it.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes], media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self.pieces = pieces
        self.source = AsyncExitStack()
        """Contexts that the pieces depend on, closed after the last piece."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send all pieces."""
        async with self.source:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            try:
                async for piece in self.pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                await self.pieces.aclose()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def opened(
    source: AbstractAsyncContextManager[T], respond: Callable[[T], Awaitable[Streamed]]
) -> Streamed:
    """Enter ``source`` and return the response made by ``respond``, which closes it at its end.

    Errors of both are raised here, before anything is sent, and ``source`` is closed.
    """
    async with AsyncExitStack() as stack:
        response = await respond(await stack.enter_async_context(source))
        response.source = stack.pop_all()
    return response


async def first(events: AsyncIterator[GenerationEvents]) -> Started:
    """Return the first event of a generation's stream."""
    (started,) = await anext(events)
    assert isinstance(started, Started)
    return started
