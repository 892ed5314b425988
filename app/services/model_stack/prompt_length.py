"""Refuses prompts that are longer than the model's context window, before they are sent."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from app.domain.errors import ContextLengthError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import TokenCounter, VisionModel
from app.domain.token import CountMethod

_BYTES = 4
"""Most bytes of a character in UTF-8; every token is a byte or more."""


@dataclass(frozen=True, slots=True)
class BoundedPromptModel:
    """Raises ContextLengthError for a prompt of more tokens than ``window``."""

    inner: VisionModel
    counter: TokenCounter
    window: int
    """Tokens."""

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does."""
        characters = len(request.system or "")
        for turn in request.turns:
            characters += len(turn.text)
        if characters * _BYTES > self.window:
            await self._check(request)
        return await self.inner.generate(request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer as ``inner`` does."""
        characters = len(request.system or "") + sum([len(turn.text) for turn in request.turns])
        if characters * _BYTES > self.window:
            return self._checked(request)
        return self.inner.stream(request)

    @asynccontextmanager
    async def _checked(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        await self._check(request)
        async with self.inner.stream(request) as parts:
            yield parts

    async def _check(self, request: ModelRequest) -> None:
        count = await self.counter.count(request)
        # A bound proves nothing: the prompt may have a quarter of it.
        if count.method is CountMethod.EXACT and count.tokens > self.window:
            # Bedrock's words and OpenAI's: frameworks know by them that a shorter input would do.
            raise ContextLengthError.at(
                "prompt",
                f"Input is too long for requested model: it has {count.tokens:,} tokens, and this "
                f"model's maximum context length is {self.window:,} tokens",
            )
