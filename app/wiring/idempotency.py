"""Opens what replicas share answers for an Idempotency-Key in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.domain.ports import DataCipher
from app.services.concurrency.shared_answers import SharedAnswers
from app.settings import Settings

PREFIX = "llama-vision/idempotent"


@asynccontextmanager
async def open_shared_answers(
    settings: Settings, cipher: DataCipher
) -> AsyncIterator[SharedAnswers | None]:
    """Open the store that all replicas see; None where each keeps its own."""
    if settings.idempotency_store == "memory":
        yield None
        return
    # Whoever keeps answers here alone need not load the client of Redis.
    from app.adapters.stores.cache.redis import RedisAnswers
    from app.adapters.stores.redis_client import open_redis

    assert settings.redis_url is not None
    async with open_redis(settings.redis_url.get_secret_value()) as client:
        yield SharedAnswers(RedisAnswers(client, PREFIX), cipher)
