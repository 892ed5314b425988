"""Callers' wrapped secrets in Redis, for several replicas: one hash, a field for each owner.

Data under a forgotten key can't be read again: Redis has to persist its data on a disk.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.asyncio import Redis

from app.adapters.encryption.keys import WrappedSecret
from app.adapters.stores.redis_client import translated
from app.domain.errors import DataKeyError

KEY = "llama-vision:caller-keys"
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    return 1
end
return 0
"""


@dataclass(frozen=True, slots=True)
class CallerKeysInRedis:
    """A CallerKeyStore in a hash."""

    client: "Redis"

    async def get(self, owner: str) -> WrappedSecret | None:
        """Return the owner's secret; None if there is none."""
        with translated(DataKeyError):
            kept = await self.client.hget(KEY, owner)
        return None if kept is None else _parsed(str(kept))

    async def add(self, owner: str, wrapped: WrappedSecret) -> WrappedSecret:
        """Store ``wrapped`` unless the owner has a secret, and return the stored one."""
        with translated(DataKeyError):
            await self.client.hsetnx(KEY, owner, _text(wrapped))
            kept = await self.client.hget(KEY, owner)
        if kept is None:
            raise DataKeyError("the caller's data is being erased")
        return _parsed(str(kept))

    async def replace(self, owner: str, old: WrappedSecret, new: WrappedSecret) -> bool:
        """Replace ``old`` by ``new``, and tell whether ``old`` was stored."""
        with translated(DataKeyError):
            return bool(await self.client.eval(_REPLACE, 1, KEY, owner, _text(old), _text(new)))

    async def drop(self, owner: str) -> bool:
        """Forget the owner's secret."""
        with translated(DataKeyError):
            return bool(await self.client.hdel(KEY, owner))

    async def owners(self) -> AsyncIterator[str]:
        """Yield the digests of all owners."""
        with translated(DataKeyError):
            async for owner, _ in self.client.hscan_iter(KEY):
                yield owner


def _text(wrapped: WrappedSecret) -> str:
    return f"{wrapped.root}\n{wrapped.text}"


def _parsed(kept: str) -> WrappedSecret:
    root, _, text = kept.partition("\n")
    return WrappedSecret(root, text)
