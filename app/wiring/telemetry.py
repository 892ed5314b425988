"""Opens authentication, limits, usage, metrics and the sinks of requests' records."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType

import structlog

from app.adapters.access.key_file import Changed
from app.adapters.stores.usage_memory import MemoryUsage
from app.adapters.stores.usage_sqlite import open_sqlite_usage
from app.domain.cost import UnitPrice
from app.domain.errors import UsageStoreError
from app.domain.ports import UsageStore
from app.services.concurrency.budget import Budget
from app.services.concurrency.task_scope import running
from app.services.model_stack.target import TargetGuard, show
from app.services.registry import Operations
from app.services.retrieval import stack as retrieval
from app.services.retrieval.stack import KnowledgeBaseGuard
from app.services.usage.ledger import open_ledger
from app.settings import Settings
from app.telemetry.emf import EmbeddedGauges, EmbeddedMetrics
from app.telemetry.logs import request_log
from app.telemetry.metrics import BILLING_WINDOWS, BYTES_IN_FLIGHT, COLD_STARTS, Metrics
from app.telemetry.record import NO_TRACER, Sink
from app.telemetry.repeats import CountedRefusals
from app.telemetry.tracing import SERVICE, open_tracer
from app.wiring.access import open_authenticator, open_limits

log = structlog.get_logger()


@asynccontextmanager
async def open_operations(
    settings: Settings,
    guards: Sequence[TargetGuard] = (),
    knowledge_bases: Mapping[str, KnowledgeBaseGuard] = MappingProxyType({}),
    changed: Changed | None = None,
    room: Budget | None = None,
) -> AsyncIterator[Operations]:
    """Open authentication, limits, usage and telemetry.

    ``room`` is the memory budget of bodies and fetched pictures, which a gauge shows.
    """
    metrics = Metrics()
    for guard in guards:
        target = str(guard.target)
        guard.starts.observe = partial(metrics.observe, COLD_STARTS, target=target)
        if isinstance(guard.price, UnitPrice):
            guard.price.opened = partial(metrics.count, BILLING_WINDOWS, target=target)
    async with AsyncExitStack() as stack:
        authenticator = await stack.enter_async_context(open_authenticator(settings, changed))
        limits = await stack.enter_async_context(open_limits(settings, metrics))
        store = await stack.enter_async_context(open_usage_store(settings))
        usage = await stack.enter_async_context(open_ledger(store, metrics))
        gauges = EmbeddedGauges(settings.emf_namespace) if settings.emf_namespace else None
        await stack.enter_async_context(_running(metrics, guards, knowledge_bases, room, gauges))
        tracer = await stack.enter_async_context(open_tracer()) if settings.traces else NO_TRACER
        if settings.otlp_metrics:
            await stack.enter_async_context(_sending(metrics))
        sinks: tuple[Sink, ...] = (CountedRefusals(request_log()), metrics, usage)
        if settings.emf_namespace:
            sinks = (*sinks, EmbeddedMetrics(settings.emf_namespace, settings.emf_dimensions))
        remote = settings.oidc_issuer is not None or settings.limits_store == "redis"
        yield Operations(authenticator, limits, usage, metrics, tracer, sinks, remote)


@asynccontextmanager
async def open_usage_store(settings: Settings) -> AsyncIterator[UsageStore]:
    """Open the store of usage. If the SQLite file can't be written, usage is kept in memory."""
    async with AsyncExitStack() as stack:
        store: UsageStore = MemoryUsage()
        match settings.usage_store:
            case "sqlite":
                try:
                    store = await stack.enter_async_context(open_sqlite_usage(settings.usage_file))
                except UsageStoreError as error:
                    log.warning("usage is kept in memory only", reason=error.detail)
            case "redis":
                # A service that keeps usage elsewhere need not load its client.
                from app.adapters.stores.redis_client import open_redis
                from app.adapters.stores.usage_redis import RedisUsage

                assert settings.redis_url is not None
                client = open_redis(settings.redis_url.get_secret_value())
                store = RedisUsage(await stack.enter_async_context(client))
            case "postgres":
                # An optional dependency: only services that keep usage there install it.
                from app.adapters.stores.usage_postgres import open_postgres

                assert settings.postgres_url is not None
                database = open_postgres(settings.postgres_url.get_secret_value())
                store = await stack.enter_async_context(database)
            case "memory":
                pass
        yield store


@asynccontextmanager
async def _running(
    metrics: Metrics,
    guards: Sequence[TargetGuard],
    knowledge_bases: Mapping[str, KnowledgeBaseGuard],
    room: Budget | None,
    gauges: EmbeddedGauges | None,
) -> AsyncIterator[None]:
    def sample() -> None:
        if room is not None:
            share = room.in_use / room.limit
            metrics.set(BYTES_IN_FLIGHT, share)
            if gauges is not None:
                gauges.sample(share)
        show(guards, metrics)
        retrieval.show(knowledge_bases, metrics)

    try:
        async with running(metrics.watch_loop(sample)):
            yield
    finally:
        metrics.close()


@asynccontextmanager
async def _sending(metrics: Metrics) -> AsyncIterator[None]:
    # An optional dependency: only services that send metrics install it.
    from app.telemetry.otlp import open_metrics

    async with open_metrics(SERVICE, metrics.registry):
        yield
        # The last export reads what this flushes.
        metrics.flush()
