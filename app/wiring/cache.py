"""Opens the answer cache, and stacks it around the model."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from app.adapters.stores.cache.memory import MemoryAnswers
from app.adapters.stores.cache.sqlite import open_sqlite_answers
from app.domain.cache import CacheMode
from app.domain.ports import AnswerStore, DataCipher, VisionModel
from app.services.cache.answers import KeptAnswers
from app.services.cache.terms import CacheTerms
from app.services.guardrails.policies import GuardrailPolicies
from app.services.images.pixel_digest import PixelDigests
from app.services.model_stack.answer_cache import AnswerCacheModel
from app.settings import Settings
from app.telemetry.metrics import Metrics

FILE = "answers.sqlite3"
"""The cache's file in the data directory."""

log = structlog.get_logger()


@asynccontextmanager
async def open_answers(
    settings: Settings, metrics: Metrics, cipher: DataCipher
) -> AsyncIterator[KeptAnswers | None]:
    """Open the answer cache; None if it is off."""
    if settings.cache is CacheMode.OFF:
        yield None
        return
    if settings.cache_store == "memory" and settings.workers > 1:
        log.warning("each worker keeps answers on its own", workers=settings.workers)
    async with open_store(settings) as store:
        yield KeptAnswers(store, cipher, metrics, settings.cache_seconds, settings.cache_timeout)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[AnswerStore]:
    """Open the configured store of answers."""
    async with AsyncExitStack() as stack:
        store: AnswerStore
        match settings.cache_store:
            case "sqlite":
                file = open_sqlite_answers(settings.data_directory / FILE, settings.cache_bytes)
                store = await stack.enter_async_context(file)
            case "redis":
                # A service that keeps answers elsewhere need not load its client.
                from app.adapters.stores.cache.redis import RedisAnswers
                from app.adapters.stores.redis_client import open_redis

                assert settings.redis_url is not None
                client = open_redis(settings.redis_url.get_secret_value())
                store = RedisAnswers(await stack.enter_async_context(client))
            case "memory":
                store = MemoryAnswers(settings.cache_bytes)
        yield store


def with_cache(
    model: VisionModel,
    answers: KeptAnswers | None,
    settings: Settings,
    guardrails: GuardrailPolicies,
    digests: PixelDigests,
) -> VisionModel:
    """Return ``model`` behind the cache; unchanged if the cache is off."""
    if answers is None:
        return model
    terms = CacheTerms(
        settings.cache,
        settings.cache_scope,
        settings.cache_sampled,
        ", ".join(map(str, settings.targets)),
        settings.identity.id,
        guardrails,
    )
    return AnswerCacheModel(model, answers, terms, digests)
