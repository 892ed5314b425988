"""The common part of the streams of all dialects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from typing import Protocol, TypeVar

from botocore.eventstream import ParserError
from botocore.exceptions import ClientError

from app.adapters.bedrock import errors
from app.domain.errors import StreamTruncatedError, UpstreamError
from app.domain.generation import StreamPart, StreamParts

END = 0.5
"""Seconds for a finished answer to end."""


Translated = Callable[[], AbstractContextManager[object]]
"""A context that raises foreign errors as an UpstreamError."""
FrameT = TypeVar("FrameT")
FrameT_contra = TypeVar("FrameT_contra", contravariant=True)


class StreamDecoder(Protocol[FrameT_contra]):
    """Reads one stream's frames in their order."""

    @property
    def finished(self) -> bool:
        """Whether the `Finish` has come, after which nothing may."""
        ...

    def feed(self, frame: FrameT_contra, /) -> Iterator[StreamPart]:
        """Yield the events of one frame, or raise an UpstreamError."""
        ...

    def end(self) -> Iterator[StreamPart]:
        """Yield the events that remain if the upstream ended without a `Finish`."""
        ...


@asynccontextmanager
async def streamed(
    stream: AbstractAsyncContextManager[AsyncIterator[Iterable[FrameT]]],
    decoder: StreamDecoder[FrameT],
    translated: Translated = errors.translated,
) -> AsyncIterator[AsyncIterator[StreamParts]]:
    """Read ``stream`` with ``decoder``; see `app.domain.ports.VisionModel`."""
    with translated():
        frames = await stream.__aenter__()
    try:
        yield await _primed(_parts(frames, decoder, translated))
    finally:
        try:
            if decoder.finished:
                await _end(frames, translated)
        finally:
            # Also if the wait for the end is cancelled, as the connection must be closed then.
            await stream.__aexit__(None, None, None)


async def _primed(parts: AsyncIterator[StreamParts]) -> AsyncIterator[StreamParts]:
    """Await the first parts, so that a refusal is raised here, and return all of them."""
    first = await anext(parts)

    async def all_of_them() -> AsyncIterator[StreamParts]:
        yield first
        async for part in parts:
            yield part

    return all_of_them()


async def _parts(
    arriving: AsyncIterator[Iterable[FrameT]],
    decoder: StreamDecoder[FrameT],
    translated: Translated,
) -> AsyncIterator[StreamParts]:
    with translated():
        async for frames in arriving:
            parts: list[StreamPart] = []
            failure: Exception | None = None
            try:
                for frame in frames:
                    parts += decoder.feed(frame)
                    if decoder.finished:
                        break
            except (ClientError, ParserError, UpstreamError) as error:
                failure = error
            # Events that came before a failure are passed on before it.
            if parts:
                yield tuple(parts)
            if failure is not None:
                raise failure
            if decoder.finished:
                # Anything after the end does not belong to the answer.
                return
    if owed := tuple(decoder.end()):
        yield owed
    if not decoder.finished:
        raise StreamTruncatedError(
            "The upstream ended the stream without its final chunk; the text may be incomplete."
        )


async def _end(arriving: AsyncIterator[object], translated: Translated) -> None:
    """Wait for the end, a moment behind the last chunk: the connection is kept only then."""
    with suppress(UpstreamError, TimeoutError), translated():
        async with asyncio.timeout(END):
            async for _ in arriving:
                pass
