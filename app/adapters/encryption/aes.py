"""The `DataCipher` that encrypts: each caller has a secret, wrapped by a root key and kept apart.

A root key is rotated by wrapping the secrets anew: the data encrypted under them stay as they are.
A caller's data is erased by dropping its secret, wherever copies of the data are.
"""

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256

from app.adapters.encryption import sealing
from app.adapters.encryption.keys import CallerKeyStore, RootKeys, WrappedSecret
from app.domain.errors import DataKeyError
from app.services.concurrency.single_flight import SingleFlight


@dataclass(slots=True)
class _Held:
    secret: bytes
    identity: bytes
    wrapped: WrappedSecret
    until: float


@dataclass(slots=True)
class EncryptedData:
    """Encrypts with AES-256-GCM under keys derived from the owner's secret."""

    roots: RootKeys
    store: CallerKeyStore
    held_for: float = 60
    """Seconds for which a secret is used before the store is read again. An erasure by another
    replica takes effect after that time."""
    most: int = 10_000
    """Maximum secrets in memory; the least recently used is dropped first."""
    _held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    _making: SingleFlight[str, _Held] = field(default_factory=SingleFlight)

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        """Return ``plaintext`` encrypted, or raise DataKeyError. 53 bytes longer."""
        held = await self._secret(owner)
        return sealing.seal(held.secret, held.identity, plaintext, _context(owner, purpose))

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        """Return the plaintext, or raise DataKeyError."""
        identity = sealing.sealed_by(ciphertext)
        held = self._held.get(_name(owner))
        if held is None or held.identity != identity or held.until <= _now():
            held = await self._load(_name(owner))
        if held is None or held.identity != identity:
            raise DataKeyError("the key of the stored data was erased")
        return sealing.unseal(held.secret, ciphertext, _context(owner, purpose))

    async def erase(self, owner: str) -> bool:
        """Delete the owner's secret, and tell whether there was one."""
        name = _name(owner)
        self._held.pop(name, None)
        dropped = await self.store.drop(name)
        # A request in progress may have read it again meanwhile.
        self._held.pop(name, None)
        return dropped

    async def rewrap(self) -> int:
        """Wrap all secrets that an older root key wraps by the current one; return how many."""
        return sum([await self._rewrapped(name) async for name in self.store.owners()])

    async def _rewrapped(self, name: str) -> bool:
        wrapped = await self.store.get(name)
        if wrapped is None or wrapped.root == await self.roots.current():
            return False
        secret = await self.roots.unwrap(wrapped, name)
        return await self.store.replace(name, wrapped, await self.roots.wrap(secret, name))

    async def _secret(self, owner: str) -> _Held:
        name = _name(owner)
        held = self._held.get(name)
        if held is not None and held.until > _now():
            self._held.move_to_end(name)
            return held
        # One load for all that ask meanwhile.
        return await self._making.run(name, lambda: self._made(name))

    async def _made(self, name: str) -> _Held:
        held = await self._load(name)
        if held is not None:
            return held
        secret = os.urandom(sealing.SECRET_BYTES)
        wrapped = await self.store.add(name, await self.roots.wrap(secret, name))
        return await self._hold(name, wrapped)

    async def _load(self, name: str) -> _Held | None:
        wrapped = await self.store.get(name)
        if wrapped is None:
            self._held.pop(name, None)
            return None
        held = self._held.get(name)
        if held is not None and held.wrapped == wrapped:
            held.until = _now() + self.held_for
            return held
        return await self._hold(name, wrapped)

    async def _hold(self, name: str, wrapped: WrappedSecret) -> _Held:
        secret = await self.roots.unwrap(wrapped, name)
        held = _Held(secret, sealing.secret_id(secret), wrapped, _now() + self.held_for)
        self._held[name] = held
        if len(self._held) > self.most:
            self._held.popitem(last=False)
        return held


def _name(owner: str) -> str:
    return sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()


def _context(owner: str, purpose: bytes) -> bytes:
    return _name(owner).encode() + purpose


def _now() -> float:
    return asyncio.get_running_loop().time()
