"""The way to the model: an adapter for each target, and what a call goes through before it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import aioboto3

from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.domain.generation import Target
from app.domain.model import Dialect, identify
from app.domain.ports import VisionModel
from app.services.model_stack.circuit_breaker import Breaker, BreakingModel
from app.services.model_stack.concurrency_limit import FairSlots, LimitedModel
from app.services.model_stack.failover import FailoverModel
from app.services.model_stack.metering import MeteredVisionModel
from app.services.model_stack.retry import RetriedModel, Retries, RetryBudget
from app.services.model_stack.stop_sequences import StoppedModel
from app.services.model_stack.target import Gate
from app.services.usage import pricing
from app.settings import Settings

Upstreams = Callable[[Target], VisionModel]
"""Gives each target's adapter."""
OpenUpstreams = Callable[[aioboto3.Session, Settings], AbstractAsyncContextManager[Upstreams]]


@asynccontextmanager
async def open_upstreams(session: aioboto3.Session, settings: Settings) -> AsyncIterator[Upstreams]:
    """Open one runtime for each region that a target is in."""
    async with AsyncExitStack() as stack:
        runtimes = {
            region: await stack.enter_async_context(
                open_runtime(session, connection(settings, region))
            )
            for region in {target.region for target in settings.targets}
        }
        yield lambda target: vision_model(target.dialect, runtimes[target.region], target.model_id)


def model_stack(
    upstreams: Upstreams, gates: Sequence[Gate], settings: Settings, retries: Retries
) -> VisionModel:
    """Stack what every call goes through. Read from the inside out."""
    return StoppedModel(
        RetriedModel(
            FailoverModel(
                [(gate.target, guarded(gate, upstreams(gate.target), settings)) for gate in gates]
            ),
            RetryBudget(),
            retries,
        )
    )


def open_gates(settings: Settings) -> tuple[Gate, ...]:
    """Return a gate for each target, in order."""
    return tuple(
        Gate(
            target,
            Breaker(settings.breaker_threshold, settings.breaker_reset),
            FairSlots(settings.max_concurrency, settings.max_waiting, settings.max_wait),
        )
        for target in settings.targets
    )


def guarded(gate: Gate, upstream: VisionModel, settings: Settings) -> VisionModel:
    """Stack what stands before one target. Read from the inside out."""
    prices = pricing.load(settings.prices_file)
    price = prices.price(identify(gate.target.model_id, settings.identity.base.key))
    metered = MeteredVisionModel(upstream, gate.target, price)
    return LimitedModel(BreakingModel(metered, gate.breaker), gate.slots)


def connection(settings: Settings, region: str) -> Connection:
    """Return how Bedrock is reached in ``region``."""
    return Connection(
        region=region,
        endpoint_url=str(settings.endpoint_url) if settings.endpoint_url else None,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_connections=settings.max_concurrency * len(settings.targets),
    )


def vision_model(dialect: Dialect, runtime: Runtime, model_id: str) -> VisionModel:
    """Pick the adapter for ``dialect``."""
    match dialect:
        case Dialect.INVOKE:
            return InvokeVisionModel(runtime, model_id)
        case Dialect.CONVERSE:
            return ConverseVisionModel(runtime, model_id)
