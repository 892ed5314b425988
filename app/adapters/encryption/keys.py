"""Keys that encrypt other keys: a root key wraps each caller's secret, and a store keeps it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedSecret:
    """A caller's secret, encrypted under a root key."""

    root: str
    """The root key's name."""
    text: str
    """All that unwrapping needs, as ASCII."""


class RootKeys(Protocol):
    """The keys that encrypt callers' secrets: one for new secrets, others for old ones."""

    async def current(self) -> str:
        """Return the name of the key that wraps now, or raise DataKeyError."""
        ...

    async def wrap(self, secret: bytes, owner: str) -> WrappedSecret:
        """Return ``secret`` encrypted for ``owner`` alone, or raise DataKeyError."""
        ...

    async def unwrap(self, wrapped: WrappedSecret, owner: str) -> bytes:
        """Return the secret. Raises DataKeyError if the root key is gone or the bytes differ."""
        ...


class CallerKeyStore(Protocol):
    """Keeps callers' wrapped secrets, for all workers and replicas that share it.

    Owners are stored by a digest of their id, so that the store names nobody. Every method raises
    DataKeyError if the store can't be used.
    """

    async def get(self, owner: str) -> WrappedSecret | None:
        """Return the owner's secret; None if there is none."""
        ...

    async def add(self, owner: str, wrapped: WrappedSecret) -> WrappedSecret:
        """Store ``wrapped`` unless the owner has a secret, and return the stored one."""
        ...

    async def replace(self, owner: str, old: WrappedSecret, new: WrappedSecret) -> bool:
        """Replace ``old`` by ``new``; return False if ``old`` is not the stored one."""
        ...

    async def drop(self, owner: str) -> bool:
        """Delete the owner's secret, and tell whether there was one."""
        ...

    def owners(self) -> AsyncIterator[str]:
        """Yield the digests of all owners."""
        ...
