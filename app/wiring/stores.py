"""Opens every store that keeps callers' data beyond one request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aioboto3

from app.domain.ports import DataCipher, WorkQueue
from app.services.cache.answers import KeptAnswers
from app.services.concurrency.shared_answers import SharedAnswers
from app.services.files.service import FileService
from app.services.residency.sentinel import ResidencySentinel
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.wiring.cache import open_answers
from app.wiring.residency_wrappers import resident_files
from app.wiring.work import open_files, open_queue

IDEMPOTENT_PREFIX = "llama-vision/idempotent"
"""Prefix of the Redis keys of answers that replicas share."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that keep callers' data, each encrypted by the same cipher."""

    files: FileService
    queue: WorkQueue
    """Batches, jobs and webhooks."""
    answers: KeptAnswers | None
    """The answer cache; None if it is off."""
    shared_answers: SharedAnswers | None
    """Answers for an Idempotency-Key; None if each worker keeps its own."""


@asynccontextmanager
async def open_stores(
    session: aioboto3.Session,
    settings: Settings,
    cipher: DataCipher,
    metrics: Metrics,
    residency: ResidencySentinel,
) -> AsyncIterator[Stores]:
    """Open the stores that the settings name."""
    async with (
        open_files(session, settings, cipher) as files,
        open_answers(settings, metrics, cipher) as answers,
        open_shared_answers(settings, cipher) as shared_answers,
        open_queue(settings, cipher) as queue,
    ):
        yield Stores(resident_files(files, settings, residency), queue, answers, shared_answers)


@asynccontextmanager
async def open_shared_answers(
    settings: Settings, cipher: DataCipher
) -> AsyncIterator[SharedAnswers | None]:
    """Open the store of idempotent answers that all replicas see; None in memory mode."""
    if settings.idempotency_store == "memory":
        yield None
        return
    # A service that shares no answers need not load the Redis client.
    from app.adapters.stores.cache.redis import RedisAnswers
    from app.adapters.stores.redis_client import open_redis

    assert settings.redis_url is not None
    async with open_redis(settings.redis_url.get_secret_value()) as client:
        yield SharedAnswers(RedisAnswers(client, IDEMPOTENT_PREFIX), cipher)
