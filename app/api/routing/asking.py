"""What a route asks with."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from fastapi import Request

from app.domain.generation import Generation, GenerationEvents, GenerationRequest, Started
from app.services.registry import Services

T = TypeVar("T")

STACK = "stack"
"""Where in a scope's ``state`` it is, once something was entered."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The use cases, and a way to enter what is left when the response has been sent."""

    services: Services
    request_id: str
    state: dict[str, Any]

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return what ``request`` is answered with."""
        state = request.scope["state"]
        return cls(state["services"], state["request_id"], state)

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter ``context``; the entrance leaves it after the response, whatever happens."""
        stack: AsyncExitStack = self.state.setdefault(STACK, AsyncExitStack())
        return await stack.enter_async_context(context)

    async def whole(self, request: GenerationRequest) -> Generation:
        """Answer in one piece."""
        return await self.services.generations.generate(request)

    async def pieces(
        self, request: GenerationRequest
    ) -> tuple[Started, AsyncIterator[GenerationEvents]]:
        """Answer as a stream: its first event, and those that follow."""
        events = await self.enter(self.services.generations.stream(request))
        (started,) = await anext(events)
        assert isinstance(started, Started)
        return started, events
