"""The guard of one target: its breaker, slots, cold starts and price."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.cost import Pricing
from app.domain.generation import Target
from app.services.model_stack.circuit_breaker import Breaker, BreakerState
from app.services.model_stack.cold_start import ColdStarts
from app.services.model_stack.concurrency_limit import FairSlots
from app.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class TargetGuard:
    """A target's breaker, slots, cold starts and price."""

    target: Target
    breaker: Breaker
    slots: FairSlots
    starts: ColdStarts = field(default_factory=ColdStarts)
    price: Pricing | None = None
    """None if it is unknown."""


def show(guards: Sequence[TargetGuard], metrics: Metrics) -> None:
    """Set the targets' gauges."""
    for guard in guards:
        labels = {"target": str(guard.target)}
        shut = guard.breaker.state is not BreakerState.CLOSED
        metrics.set("llama_vision_target_breaker_open", int(shut), **labels)
        metrics.set("llama_vision_target_active_calls", guard.slots.taken, **labels)
        metrics.set("llama_vision_target_waiting_requests", guard.slots.waiting, **labels)
        metrics.set("llama_vision_target_loading", int(guard.starts.began is not None), **labels)
