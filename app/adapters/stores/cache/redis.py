"""Answers in Redis, for all replicas."""

from dataclasses import dataclass

from pybase64 import b64decode, b64encode
from redis.asyncio import Redis

from app.adapters.stores.redis_client import translated
from app.domain.cache import Place
from app.domain.errors import AnswerStoreError

_PREFIX = "llama-vision/answer"
_BATCH = 500
# Only the holder may extend the claim, and only the holder may end it.
_CLAIM = """
local held = redis.call('get', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


@dataclass(frozen=True, slots=True)
class RedisAnswers:
    """An AnswerStore; when memory is full, Redis drops entries by its own policy."""

    client: "Redis"
    prefix: str = _PREFIX

    @property
    def shared(self) -> bool:
        """Return True: all processes see these answers."""
        return True

    async def get(self, place: Place) -> bytes | None:
        """Return the unexpired entry at a place or None, or raise AnswerStoreError."""
        with translated(AnswerStoreError, ValueError):
            text = await self.client.get(self._name(place))
            return None if text is None else b64decode(text, validate=True)

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Store ``data``, or raise AnswerStoreError."""
        with translated(AnswerStoreError, ValueError):
            milliseconds = max(1, round(1000 * seconds))
            # As text: the client that limits and usage share reads all answers as such.
            await self.client.set(self._name(place), b64encode(data), px=milliseconds)

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Tell whether ``holder`` has the claim now, or raise AnswerStoreError."""
        with translated(AnswerStoreError, ValueError):
            milliseconds = str(max(1, round(1000 * seconds)))
            return bool(await self.client.eval(_CLAIM, 1, self._claim(place), holder, milliseconds))

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim, or raise AnswerStoreError."""
        with translated(AnswerStoreError, ValueError):
            await self.client.eval(_RELEASE, 1, self._claim(place), holder)

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Delete the answers of an owner, of a model, or all; or raise AnswerStoreError."""
        pattern = f"{self.prefix}/{owner or '*'}/{model or '*'}/*"
        count = 0
        with translated(AnswerStoreError, ValueError):
            names: list[str] = []
            async for name in self.client.scan_iter(match=pattern, count=_BATCH):
                names.append(name)
                if len(names) == _BATCH:
                    count += await self.client.unlink(*names)
                    names = []
            if names:
                count += await self.client.unlink(*names)
        return count

    def _name(self, place: Place) -> str:
        return f"{self.prefix}/{place.owner}/{place.model}/{place.key}"

    def _claim(self, place: Place) -> str:
        return f"{self.prefix}-claim/{place.key}"
