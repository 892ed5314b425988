"""Says in every answer which target gave it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from app.domain.generation import Completion, Finish, ModelRequest, StreamParts, Target
from app.domain.ports import VisionModel


@dataclass(frozen=True, slots=True)
class LabelledModel:
    """Puts its target's name on what the model says."""

    inner: VisionModel
    target: Target

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``."""
        return replace(await self.inner.generate(request), target=self.target)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream."""
        async with self.inner.stream(request) as parts:
            yield self._labelled(parts)

    async def _labelled(self, parts: AsyncIterator[StreamParts]) -> AsyncIterator[StreamParts]:
        async for arrived in parts:
            *before, last = arrived
            if isinstance(last, Finish):
                yield (*before, replace(last, target=self.target))
            else:
                yield arrived
