"""InvokeModel behind the VisionModel port."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from botocore.eventstream import ParserError
from botocore.exceptions import ClientError

from app.adapters.bedrock import errors, invoke_wire
from app.adapters.bedrock.frames import Frame
from app.adapters.bedrock.runtime import Runtime
from app.adapters.bedrock.streaming import check_finished, primed
from app.domain.errors import UpstreamAnswerError, UpstreamError
from app.domain.generation import Completion, ModelRequest, StreamPart, StreamParts

END = 0.5
"""Seconds in which an answer that is finished has to end."""


@dataclass(slots=True)
class InvokeVisionModel:
    """The native Llama body through InvokeModel."""

    runtime: Runtime
    model_id: str
    _whole: str = field(init=False)
    _pieces: str = field(init=False)

    def __post_init__(self) -> None:
        self._whole = self.runtime.path(self.model_id, "invoke")
        self._pieces = self.runtime.path(self.model_id, "invoke-with-response-stream")

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        body = partial(invoke_wire.to_invoke, request)
        with errors.translated():
            answer, headers = await self.runtime.call(self._whole, body, invoke_wire.size(request))
        return invoke_wire.from_invoke(answer, headers)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(invoke_wire.to_invoke, request)
        stream = self.runtime.stream(self._pieces, body, invoke_wire.size(request))
        with errors.translated():
            frames = await stream.__aenter__()
        decoder = invoke_wire.StreamDecoder()
        try:
            yield await primed(_parts(frames, decoder))
        finally:
            try:
                if decoder.finished:
                    await _end(frames)
            finally:
                # Also where the wait for the end is cancelled: the connection is to be closed then.
                await stream.__aexit__(None, None, None)


async def _parts(
    arriving: AsyncIterator[Iterable[Frame]], decoder: invoke_wire.StreamDecoder
) -> AsyncIterator[StreamParts]:
    with errors.translated():
        async for frames in arriving:
            parts: list[StreamPart] = []
            failure: Exception | None = None
            try:
                for frame in frames:
                    parts += decoder.feed(invoke_wire.chunk(frame.payload))
            except (ClientError, ParserError, UpstreamAnswerError) as error:
                failure = error
            # What came before a failure is told before it.
            if parts:
                yield tuple(parts)
            if failure is not None:
                raise failure
    check_finished(finished=decoder.finished)


async def _end(arriving: AsyncIterator[object]) -> None:
    """Wait for the end, a moment behind the last chunk: the connection is kept only then."""
    with suppress(UpstreamError), errors.translated():
        async with asyncio.timeout(END):
            async for _ in arriving:
                pass
