"""InvokeModel behind the VisionModel port."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs import guard, invoke, llama
from app.adapters.bedrock.codecs.streaming import streamed
from app.adapters.bedrock.runtime import Runtime
from app.domain.generation import Completion, ModelRequest, StreamParts


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
        body = partial(invoke.to_invoke, request)
        with errors.translated():
            answer, headers = await self.runtime.call(
                self._whole, body, llama.size(request), guard.headers(request)
            )
        return invoke.from_invoke(answer, headers)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(invoke.to_invoke, request)
        frames = self.runtime.stream(
            self._pieces, body, llama.size(request), guard.headers(request)
        )
        return streamed(frames, invoke.StreamDecoder())
