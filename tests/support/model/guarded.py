"""A guarded model with a fake model and a fake guardrail: no socket, no process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.adapters.stores.rate_limiter import WindowedLimiter
from app.adapters.stores.windows import MemoryWindows
from app.domain.generation import (
    CallContext,
    Completion,
    Delta,
    Finish,
    ModelRequest,
    Role,
    StopReason,
    StreamParts,
    Turn,
)
from app.domain.guardrail import GuardrailPolicy, Mode, StreamMode
from app.domain.usage import Usage
from app.services.access.limits import Limits
from app.services.guardrails.policies import GuardrailPolicies
from app.services.guardrails.screen import PictureVerdicts, Screen
from app.services.images.pixel_digest import PixelDigests
from app.services.model_stack.guardrail import GuardrailModel
from app.telemetry.metrics import Metrics
from tests.support.fakes.guardrail import FakeGuardrail

WINDOW, OVERLAP = 60, 20


@dataclass
class Spelled:
    """Answers in the given pieces, and records whether its stream was closed."""

    pieces: Sequence[str]
    closed: bool = False
    sent: int = 0

    async def generate(self, request: ModelRequest) -> Completion:
        text = "".join(self.pieces)
        return Completion(text, Usage(1, len(self.pieces)), StopReason.STOP, "stop")

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async def parts() -> AsyncIterator[StreamParts]:
            for number, piece in enumerate(self.pieces, 1):
                self.sent = number
                yield (Delta(piece, Usage(1, number)),)
            yield (Finish(Usage(1, len(self.pieces)), StopReason.STOP, "stop"),)

        yield parts()
        self.closed = True


def guarded(
    model: Spelled, stream: StreamMode, guardrail: FakeGuardrail, output: Mode = Mode.ENFORCE
) -> GuardrailModel:
    policy = GuardrailPolicy(output=output, stream=stream, id="words", version="1")
    return GuardrailModel(model, GuardrailPolicies(policy), screen(guardrail))


def screen(guardrail: FakeGuardrail) -> Screen:
    """Return a screen with ``guardrail``, whose units have no price."""
    metrics = Metrics()
    limits = Limits(WindowedLimiter(MemoryWindows()), {}, metrics)
    pictures = PictureVerdicts(PixelDigests(None))  # type: ignore[arg-type]  # no pictures here
    return Screen(guardrail, {}, limits, metrics, pictures, 5, WINDOW, OVERLAP)


async def streamed(model: GuardrailModel) -> tuple[list[Delta], Finish]:
    request = ModelRequest((Turn(Role.USER, "Why?"),), call_context=CallContext())
    parts: list[Any] = []
    async with model.stream(request) as stream:
        async for arrived in stream:
            parts += arrived
    *deltas, finish = parts
    assert isinstance(finish, Finish)
    return [delta for delta in deltas if isinstance(delta, Delta)], finish
