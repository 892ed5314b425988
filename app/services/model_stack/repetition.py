"""Ends streams that would repeat themselves up to the token limit."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.domain.generation import (
    Completion,
    Delta,
    Finish,
    ModelRequest,
    StopReason,
    StreamParts,
)
from app.domain.ports import VisionModel
from app.services.answers.text.repetition import LoopFinder
from app.telemetry import current


@dataclass(frozen=True, slots=True)
class RepetitionModel:
    """Ends a stream that has run into a loop, so that its rest is not paid for.

    Leaving the stream ends the call upstream. An answer in one piece is there and paid for, and
    stays as it is.
    """

    inner: VisionModel

    def generate(self, request: ModelRequest) -> Coroutine[Any, Any, Completion]:
        """Answer as ``inner`` does."""
        return self.inner.generate(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream until the answer has run into a loop."""
        async with self.inner.stream(request) as parts:
            yield _until_loop(parts)


async def _until_loop(parts: AsyncIterator[StreamParts]) -> AsyncIterator[StreamParts]:
    finder = LoopFinder()
    async for arrived in parts:
        last = arrived[-1]
        text = ""
        # Not by join: each part would cost a call of its own.
        for part in arrived:
            if isinstance(part, Delta):
                text += part.text
        if isinstance(last, Finish) or finder.feed(text) is None:
            yield arrived
            continue
        # Not abandoned, although it looks so to the inner models: this service ended it.
        record = current()
        record.stream, record.stop_reason = "completed", StopReason.REPETITION.value
        yield (*arrived, Finish(last.usage, StopReason.REPETITION, None))
        return
