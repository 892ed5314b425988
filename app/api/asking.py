"""What a route asks with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from fastapi import Request

from app.domain.generation import Generation, GenerationEvents, GenerationRequest, Started
from app.services.registry import Services


@dataclass(frozen=True, slots=True)
class Asking:
    """The use cases, and what has to be left when the response has been sent."""

    services: Services
    request_id: str
    stack: AsyncExitStack

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return what ``request`` is answered with."""
        state = request.scope["state"]
        return cls(state["services"], state["request_id"], state["stack"])

    async def whole(self, request: GenerationRequest) -> Generation:
        """Answer in one piece."""
        return await self.services.generations.generate(request)

    async def pieces(
        self, request: GenerationRequest
    ) -> tuple[Started, AsyncIterator[GenerationEvents]]:
        """Answer as a stream: its first event, and those that follow."""
        events = await self.stack.enter_async_context(self.services.generations.stream(request))
        (started,) = await anext(events)
        assert isinstance(started, Started)
        return started, events
