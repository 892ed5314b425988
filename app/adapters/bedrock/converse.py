"""Converse behind the VisionModel port."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs import converse, llama
from app.adapters.bedrock.codecs.streaming import streamed
from app.adapters.bedrock.runtime import Runtime
from app.domain.generation import Completion, ModelRequest, StreamParts


@dataclass(slots=True)
class ConverseVisionModel:
    """Bedrock's own message form through Converse."""

    runtime: Runtime
    model_id: str
    _whole: str = field(init=False)
    _pieces: str = field(init=False)

    def __post_init__(self) -> None:
        self._whole = self.runtime.path(self.model_id, "converse")
        self._pieces = self.runtime.path(self.model_id, "converse-stream")

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        body = partial(converse.to_body, request)
        with errors.translated():
            answer, _ = await self.runtime.call(self._whole, body, llama.size(request))
        return converse.from_converse(answer)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(converse.to_body, request, streamed=True)
        frames = self.runtime.stream(self._pieces, body, llama.size(request))
        return streamed(frames, converse.StreamDecoder())
