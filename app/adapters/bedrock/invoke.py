"""InvokeModel behind the VisionModel port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from app.adapters.bedrock import errors, invoke_wire
from app.adapters.bedrock.frames import Frame
from app.adapters.bedrock.runtime import Runtime
from app.adapters.bedrock.streaming import check_finished, primed
from app.domain.generation import Completion, ModelRequest, StreamPart


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
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamPart]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(invoke_wire.to_invoke, request)
        stream = self.runtime.stream(self._pieces, body, invoke_wire.size(request))
        with errors.translated():
            frames = await stream.__aenter__()
        try:
            yield await primed(_parts(frames))
        finally:
            await stream.__aexit__(None, None, None)


async def _parts(frames: AsyncIterator[Frame]) -> AsyncIterator[StreamPart]:
    decoder = invoke_wire.StreamDecoder()
    with errors.translated():
        async for frame in frames:
            for part in decoder.feed(invoke_wire.chunk(frame.payload)):
                yield part
    check_finished(finished=decoder.finished)
