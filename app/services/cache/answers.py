"""Stores answers encrypted; failures of the store are not errors."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar

import structlog

from app.domain.cache import Place
from app.domain.errors import AnswerStoreError, DataKeyError
from app.domain.ports import AnswerStore, DataCipher
from app.services.cache import entry
from app.services.cache.entry import Kept
from app.telemetry.metrics import CACHE_FAILURES, CACHE_STORED, Metrics

T = TypeVar("T")

REST = 5.0
"""Seconds for which a store is not used after it failed or was too slow."""

log = structlog.get_logger()


@lru_cache(4096)
def tag(name: str) -> str:
    """Return the tag that stands for an owner or a model in a store."""
    return sha256(name.encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(slots=True)
class KeptAnswers:
    """Cached answers; if the store fails, there is none."""

    store: AnswerStore
    cipher: DataCipher
    metrics: Metrics
    seconds: float
    """Seconds for which an answer is kept."""
    timeout: float
    """Maximum seconds of one operation of the store."""
    _until: float = field(default=0)

    async def find(self, place: Place, owner: str) -> Kept | None:
        """Return the answer at ``place``, which is kept under a key of ``owner``."""

        async def find() -> Kept | None:
            data = await self.store.get(place)
            if data is None:
                return None
            plain = await self.cipher.decrypt(owner, data, _purpose(place))
            try:
                kept = entry.decoded(plain, place.key)
            except ValueError as error:
                self._failed("read", str(error))
                return None
            # A store may keep entries for too long, or the clock may have gone back.
            return kept if -REST < time.time() - kept.made <= self.seconds else None

        return await self._tried("get", find, None)

    async def keep(self, place: Place, owner: str, kept: Kept) -> None:
        """Keep an answer under a key of ``owner``."""

        async def keep() -> None:
            plain = entry.encoded(kept, place.key)
            if len(plain) > entry.MOST:
                return
            data = await self.cipher.encrypt(owner, plain, _purpose(place))
            await self.store.put(place, data, self.seconds)
            self.metrics.count(CACHE_STORED)

        await self._tried("put", keep, None)

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Return whether ``holder`` is the one to make the answer; True if the store fails."""
        return await self._tried("claim", lambda: self.store.claim(place, holder, seconds), True)

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim."""
        await self._tried("release", lambda: self.store.release(place, holder), None)

    async def purge(self, caller: str | None, model: str | None) -> int:
        """Delete the answers of a caller, of a model, or all; or raise AnswerStoreError."""
        return await self.store.purge(caller and tag(caller), model and tag(model))

    async def _tried(self, operation: str, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Return the result of ``work``, or ``otherwise`` if the store fails or is too slow."""
        if time.monotonic() < self._until:
            return otherwise
        try:
            if not self.store.shared:
                # A store in this process needs no timer, which would be half the work.
                return await work()
            async with asyncio.timeout(self.timeout):
                return await work()
        except DataKeyError as error:
            self._failed("key", error.detail)
        except (AnswerStoreError, TimeoutError) as error:
            self._until = time.monotonic() + REST
            self._failed(operation, type(error).__name__)
        return otherwise

    def _failed(self, operation: str, reason: str) -> None:
        self.metrics.count(CACHE_FAILURES, operation=operation)
        log.warning("answer cache failed", operation=operation, reason=reason)


def _purpose(place: Place) -> bytes:
    return b"cache:" + place.key.encode()
