"""OpenAI's chat completion on a server of its own, behind the VisionModel port."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from app.adapters.bedrock.codecs import chat, chat_errors, llama
from app.adapters.bedrock.codecs.streaming import streamed
from app.adapters.openai import errors
from app.adapters.openai.server import Server
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.model import Capabilities


@dataclass(frozen=True, slots=True)
class OpenAiVisionModel:
    """A model on an OpenAI-compatible server."""

    server: Server
    name: str
    """The model's name as the server knows it."""
    capabilities: Capabilities

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an UpstreamError."""
        body = partial(chat.to_chat, request, self.capabilities, model=self.name)
        with _translated(request):
            answer = await self.server.call(body, llama.size(request))
        return chat.from_chat(answer, {})

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece; see `app.domain.ports.VisionModel`."""
        body = partial(
            chat.to_chat,
            request,
            self.capabilities,
            model=self.name,
            stream=True,
            stream_options={"include_usage": True},
        )
        events = self.server.stream(body, llama.size(request))
        return streamed(events, chat.ChunkDecoder(), lambda: _translated(request))


@contextmanager
def _translated(request: ModelRequest) -> Iterator[None]:
    with chat_errors.refused_form(request), errors.translated():
        yield
