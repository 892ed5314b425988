"""Opens the runtimes of knowledge bases, and their guards."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from os import environ

import aioboto3
import structlog

from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.knowledge_base import KnowledgeBaseRetriever
from app.adapters.bedrock.runtime import Runtime, open_agent_runtime
from app.adapters.http1.sender import Limits
from app.domain.ports import Retriever
from app.domain.retrieval import KnowledgeBase
from app.services.model_stack.circuit_breaker import Breaker
from app.services.model_stack.concurrency_limit import FairSlots
from app.services.retrieval.stack import KnowledgeBaseGuard
from app.settings import Settings

OpenRetriever = Callable[[aioboto3.Session, Settings], AbstractAsyncContextManager[Retriever]]

log = structlog.get_logger()


@asynccontextmanager
async def open_retriever(session: aioboto3.Session, settings: Settings) -> AsyncIterator[Retriever]:
    """Open a runtime for each region that has knowledge bases."""
    regions = {base.region for base in configured(settings).values()}
    if regions:
        announce(settings)
    runtimes: dict[str, Runtime] = {}
    async with AsyncExitStack() as stack:
        for region in sorted(regions):
            runtime = open_agent_runtime(session, connection(settings, region))
            runtimes[region] = await stack.enter_async_context(runtime)
        yield KnowledgeBaseRetriever(runtimes)


def configured(settings: Settings) -> Mapping[str, KnowledgeBase]:
    """Return the configured knowledge bases by name."""
    return settings.knowledge_bases_in(settings.region)


def connection(settings: Settings, region: str) -> Connection:
    """Return how the knowledge bases of ``region`` are reached."""
    endpoint = settings.retrieval_endpoint_url
    limits = Limits(settings.connect_timeout, settings.retrieval_timeout, settings.max_concurrency)
    return Connection(region, str(endpoint) if endpoint else None, limits)


def only_api_key() -> bool:
    """Tell whether a Bedrock API key is set, which can't call knowledge bases."""
    return bool(environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip())


def announce(settings: Settings) -> None:
    """Log the configured knowledge bases, and a warning if a Bedrock API key is set."""
    log.info("knowledge bases configured", names=sorted(settings.knowledge_bases))
    if only_api_key():
        log.warning(
            "knowledge bases are called with AWS credentials; a Bedrock API key can't call them"
        )


def open_guards(settings: Settings) -> Mapping[str, KnowledgeBaseGuard]:
    """Return a guard for each knowledge base, by name."""
    return {
        name: KnowledgeBaseGuard(
            name,
            Breaker(settings.breaker_threshold, settings.breaker_reset),
            FairSlots(settings.max_concurrency, settings.max_waiting, settings.max_wait),
        )
        for name in settings.knowledge_bases
    }
