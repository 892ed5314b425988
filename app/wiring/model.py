"""Stacks the model: an adapter for each target, and the wrappers around it."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import aioboto3

from app.adapters.bedrock.chat import ChatVisionModel
from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.adapters.http1.sender import Limits
from app.domain.cost import Pricing
from app.domain.generation import Target
from app.domain.model import Dialect, ModelIdentity, capabilities, identify
from app.domain.ports import VisionModel
from app.services.lifecycle.models import LifecycleModel, Link, SuccessorModel
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.services.model_stack.batch_answers import BatchedModel
from app.services.model_stack.circuit_breaker import Breaker, CircuitBreakerModel
from app.services.model_stack.cold_start import ColdStartModel, ColdStarts
from app.services.model_stack.concurrency_limit import ConcurrencyLimitModel, FairSlots
from app.services.model_stack.failover import FailoverModel
from app.services.model_stack.metering import MeteringModel
from app.services.model_stack.repetition import RepetitionModel
from app.services.model_stack.retry import Retries, RetryBudget, RetryModel
from app.services.model_stack.stop_sequences import StopSequenceModel
from app.services.model_stack.target import TargetGuard
from app.services.usage import pricing
from app.services.usage.pricing import PriceTable
from app.settings import Settings

Upstreams = Callable[[Target], VisionModel]
"""Returns a target's adapter."""
Around = Callable[[Target, VisionModel], VisionModel]
"""Wraps one target, above its metering."""
OpenUpstreams = Callable[[aioboto3.Session, Settings], AbstractAsyncContextManager[Upstreams]]


@asynccontextmanager
async def open_upstreams(session: aioboto3.Session, settings: Settings) -> AsyncIterator[Upstreams]:
    """Open a runtime for each region of Bedrock, and the other server if a target needs it."""
    runtimes: dict[str, Runtime] = {}
    adapters: dict[Target, VisionModel] = {}
    async with AsyncExitStack() as stack:
        for target in settings.every_target:
            if not target.dialect.is_bedrock:
                server = open_other_server(settings, target)
                adapters[target] = await stack.enter_async_context(server)
                continue
            if target.region not in runtimes:
                runtime = open_runtime(session, connection(settings, target.region))
                runtimes[target.region] = await stack.enter_async_context(runtime)
            identity = identify(target.model_id, settings.identity.base.key)
            adapters[target] = vision_model(target.dialect, runtimes[target.region], identity)
        yield adapters.__getitem__


@asynccontextmanager
async def open_other_server(settings: Settings, target: Target) -> AsyncIterator[VisionModel]:
    """Open the configured OpenAI-compatible server."""
    # It needs httpx-sse, which a service that only calls Bedrock never loads.
    from app.adapters.openai.model import OpenAiVisionModel
    from app.adapters.openai.server import open_server

    key = key_of_server(settings)
    async with open_server(str(settings.openai_url), key, limits(settings)) as server:
        yield OpenAiVisionModel(server, target.model_id, settings.capabilities_of(target))


def key_of_server(settings: Settings) -> str | None:
    """Return the key for the other server; None if none is set. Raises what `server_key` does."""
    if settings.openai_key_file is not None:
        return server_key(settings.openai_key_file)
    return settings.openai_key.get_secret_value() if settings.openai_key else None


def server_key(path: Path) -> str:
    """Return the key in ``path``. Raises OSError, or ValueError with the file's name."""
    key = path.read_text("utf-8").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError(f"{path}: holds no key, which is one line of ASCII")
    return key


def model_stack(
    upstreams: Upstreams,
    guards: Sequence[TargetGuard],
    successors: Sequence[TargetGuard],
    sentinel: LifecycleSentinel,
    retries: Retries,
    around: Around,
) -> VisionModel:
    """Stack the wrappers that every call goes through. Read from the inside out."""

    def wrapped(guard: TargetGuard) -> VisionModel:
        model = around(guard.target, guarded(guard, upstreams(guard.target)))
        return LifecycleModel(model, guard.target, sentinel) if sentinel.asked else model

    targets = [(guard.target, wrapped(guard)) for guard in guards]
    further = [(guard.target, wrapped(guard)) for guard in successors]
    chain = chained(targets, further, sentinel)
    first = guards[0]
    return RepetitionModel(
        StopSequenceModel(
            BatchedModel(
                RetryModel(chain, RetryBudget(), retries),
                first.target,
                first.price,
            )
        )
    )


def chained(
    targets: Sequence[tuple[Target, VisionModel]],
    successors: Sequence[tuple[Target, VisionModel]],
    sentinel: LifecycleSentinel,
) -> VisionModel:
    """Return the failover over ``targets``, followed by ``successors`` if there are any."""
    failover = FailoverModel(targets)
    if not successors:
        return failover
    first = Link(tuple(target for target, _ in targets), failover)
    further = [Link((target,), model) for target, model in successors]
    return SuccessorModel([first, *further], sentinel, sentinel.metrics)


def open_guards(
    settings: Settings, targets: Iterable[Target] | None = None
) -> tuple[TargetGuard, ...]:
    """Return a guard for each of ``targets`` in order, by default the configured targets."""
    table = pricing.load(settings.prices_file)
    return tuple(
        TargetGuard(
            target,
            Breaker(settings.breaker_threshold, settings.breaker_reset),
            FairSlots(settings.max_concurrency, settings.max_waiting, settings.max_wait),
            ColdStarts(),
            price(target, settings, table),
        )
        for target in (settings.targets if targets is None else targets)
    )


def guarded(guard: TargetGuard, upstream: VisionModel) -> VisionModel:
    """Stack the wrappers around one target. Read from the inside out."""
    metered = MeteringModel(upstream, guard.target, guard.price)
    return ConcurrencyLimitModel(
        CircuitBreakerModel(ColdStartModel(metered, guard.starts), guard.breaker), guard.slots
    )


def price(target: Target, settings: Settings, table: PriceTable) -> Pricing | None:
    """Return the price of calls of ``target``; None if it is unknown."""
    if not target.dialect.is_bedrock:
        return None
    identity = identify(target.model_id, settings.identity.base.key)
    return table.price(identity)


def connection(settings: Settings, region: str) -> Connection:
    """Return how Bedrock is reached in ``region``."""
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    return Connection(region, endpoint, limits(settings))


def limits(settings: Settings) -> Limits:
    """Return the timeouts and the number of connections of upstream calls."""
    return Limits(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_connections=settings.max_concurrency * len(settings.targets),
    )


def vision_model(dialect: Dialect, runtime: Runtime, identity: ModelIdentity) -> VisionModel:
    """Pick the adapter for ``dialect``."""
    match dialect:
        case Dialect.INVOKE:
            return InvokeVisionModel(runtime, identity.id)
        case Dialect.CONVERSE:
            return ConverseVisionModel(runtime, identity.id)
        case Dialect.CHAT:
            able = capabilities(dialect, identity.base)
            return ChatVisionModel(runtime, identity.id, able)
        case Dialect.OPENAI:
            raise ValueError("an OpenAI-compatible server is not a region of Bedrock")
