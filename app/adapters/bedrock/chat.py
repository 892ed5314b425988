"""OpenAI's chat completion through InvokeModel, behind the VisionModel port."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs import chat, chat_errors, guard, llama
from app.adapters.bedrock.codecs.event_stream import Frame, chunk
from app.adapters.bedrock.codecs.streaming import streamed
from app.adapters.bedrock.runtime import Runtime
from app.domain.generation import Completion, ModelRequest, StreamPart, StreamParts
from app.domain.model import Capabilities


@dataclass(slots=True)
class ChatVisionModel:
    """An imported model, called with the one body in which it sees pictures."""

    runtime: Runtime
    model_id: str
    capabilities: Capabilities
    _whole: str = field(init=False)
    _pieces: str = field(init=False)

    def __post_init__(self) -> None:
        self._whole = self.runtime.path(self.model_id, "invoke")
        self._pieces = self.runtime.path(self.model_id, "invoke-with-response-stream")

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        body = partial(chat.to_chat, request, self.capabilities)
        with _translated(request):
            answer, headers = await self.runtime.call(
                self._whole, body, llama.size(request), guard.headers(request)
            )
        return chat.from_chat(answer, headers)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(chat.to_chat, request, self.capabilities)
        frames = self.runtime.stream(
            self._pieces, body, llama.size(request), guard.headers(request)
        )
        return streamed(frames, FramedChunks(), lambda: _translated(request))


@contextmanager
def _translated(request: ModelRequest) -> Iterator[None]:
    with chat_errors.refused_form(request), errors.translated():
        yield


@dataclass(slots=True)
class FramedChunks:
    """Reads chunks out of event-stream frames."""

    chunks: chat.ChunkDecoder = field(default_factory=chat.ChunkDecoder)

    @property
    def finished(self) -> bool:
        """Whether the `Finish` has come."""
        return self.chunks.finished

    def feed(self, frame: Frame) -> Iterator[StreamPart]:
        """Yield the events of one frame, or raise an UpstreamError."""
        return self.chunks.feed(chunk(frame))

    def end(self) -> Iterator[StreamPart]:
        """Yield the events that remain when the upstream has ended."""
        return self.chunks.end()
