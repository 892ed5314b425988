"""Server-sent events, read by httpx-sse."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from httpx_sse import EventSource, SSEError

from app.adapters.http1.sender import Answer
from app.domain.errors import UpstreamAnswerError


@dataclass(frozen=True, slots=True)
class _Body(httpx.AsyncByteStream):
    """An answer's body, as httpx wants it."""

    answer: Answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.answer.readany():
            yield piece


async def events(answer: Answer) -> AsyncIterator[str]:
    """Yield the data of each event of ``answer``, or raise UpstreamAnswerError."""
    response = httpx.Response(
        answer.status,
        headers={"Content-Type": answer.headers.get("content-type", "")},
        stream=_Body(answer),
    )
    try:
        async for event in EventSource(response).aiter_sse():
            if event.data:
                yield event.data
    except SSEError as error:
        raise UpstreamAnswerError("the upstream's stream is not an event stream") from error
