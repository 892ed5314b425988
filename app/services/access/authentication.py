"""Authenticators that need no other service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain import key
from app.domain.access import ANONYMOUS, TOKEN_PREFIX, Caller
from app.domain.errors import CredentialsInvalidError, CredentialsMissingError
from app.domain.key import NO_KEY, KeyRecord
from app.domain.ports import Authenticator

_ACCEPTED = "send Authorization: Bearer <key>, or X-API-Key: <key>"


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """Treats everyone as the same anonymous caller, on loopback or behind a gateway."""

    async def authenticate(self, credential: str | None) -> Caller:  # noqa: ARG002 - the port's signature
        """Return the anonymous caller."""
        return ANONYMOUS

    def current(self, caller: Caller) -> Caller:
        """Return ``caller``."""
        return caller


class Keyring(Protocol):
    """The keys that are valid now; they may change from one call to the next."""

    @property
    def keys(self) -> Mapping[str, KeyRecord]:
        """The key records, by id."""
        ...


@dataclass(frozen=True, slots=True)
class FixedKeyring:
    """Keys that stay the same as long as the process lives."""

    keys: Mapping[str, KeyRecord]


@dataclass(frozen=True, slots=True)
class KeyAuthenticator:
    """Identifies callers by their API keys."""

    keyring: Keyring

    async def authenticate(self, credential: str | None) -> Caller:
        """Return the key's holder, or raise CredentialsMissing- or -InvalidError."""
        if not credential:
            raise CredentialsMissingError(f"no credentials were sent; {_ACCEPTED}")
        parts = key.split(credential)
        if parts is None:
            raise CredentialsInvalidError(f"that is not an API key of this service; {_ACCEPTED}")
        key_id, secret = parts
        record = self.keyring.keys.get(key_id, NO_KEY)
        if not record.matches(secret):
            raise CredentialsInvalidError("the API key is not known")
        # Only the key's holder learns that it was revoked.
        if record.revoked:
            raise CredentialsInvalidError(f"the API key {record.id} was revoked")
        return record.caller

    def current(self, caller: Caller) -> Caller:
        """Return the key's holder as it is now, or raise CredentialsInvalidError."""
        record = self.keyring.keys.get(caller.id)
        if record is None or record.revoked:
            raise CredentialsInvalidError("the API key is no longer valid")
        return record.caller


@dataclass(frozen=True, slots=True)
class KeysOrTokens:
    """Passes credentials that look like JSON Web Tokens to ``tokens``, all others to ``keys``."""

    keys: Authenticator
    tokens: Authenticator

    async def authenticate(self, credential: str | None) -> Caller:
        """Return the holder of ``credential``, or raise an AccessError."""
        # A key has no dot, a signed token two.
        chosen = self.tokens if credential and "." in credential else self.keys
        return await chosen.authenticate(credential)

    def current(self, caller: Caller) -> Caller:
        """Return an earlier caller as it is now, or raise CredentialsInvalidError."""
        chosen = self.tokens if caller.id.startswith(TOKEN_PREFIX) else self.keys
        return chosen.current(caller)
