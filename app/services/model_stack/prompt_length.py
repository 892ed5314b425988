"""Refuses prompts that are longer than the model's context window, before they are sent."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.domain.errors import ContextLengthError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import TokenCounter, VisionModel
from app.domain.token import CountMethod

_BYTES = 4
"""Maximum bytes of a character in UTF-8; every token has at least one."""


@dataclass(frozen=True, slots=True)
class BoundedPromptModel:
    """Raises ContextLengthError for a prompt of more tokens than ``window``."""

    inner: VisionModel
    counter: TokenCounter
    window: int
    """Tokens."""

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer as ``inner`` does."""
        if self._fits(request):
            return self.inner.generate(request)
        return self._checked_answer(request)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer as ``inner`` does."""
        return self.inner.stream(request) if self._fits(request) else self._checked(request)

    def _fits(self, request: ModelRequest) -> bool:
        """Tell whether the prompt fits the window however its characters are encoded."""
        characters = len(request.system or "")
        for turn in request.turns:
            characters += len(turn.text)
        return characters * _BYTES <= self.window

    async def _checked_answer(self, request: ModelRequest) -> Completion:
        await self._check(request)
        return await self.inner.generate(request)

    @asynccontextmanager
    async def _checked(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        await self._check(request)
        async with self.inner.stream(request) as parts:
            yield parts

    async def _check(self, request: ModelRequest) -> None:
        count = await self.counter.count(request)
        # An upper bound proves nothing, as the prompt may have a quarter of the tokens.
        if count.method is CountMethod.EXACT and count.tokens > self.window:
            # Bedrock's words and OpenAI's: frameworks know by them that a shorter input would do.
            raise ContextLengthError.at(
                "prompt",
                f"Input is too long for requested model: it has {count.tokens:,} tokens, and this "
                f"model's maximum context length is {self.window:,} tokens",
            )
