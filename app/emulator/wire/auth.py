"""Authenticates calls: ``Anyone`` lets all in; ``Verified`` checks signatures and API keys."""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from app.emulator.config import EmulatorConfig
from app.emulator.wire import sigv4
from app.emulator.wire.errors import ACCESS_DENIED, NO_SIGNATURE, AwsError
from app.emulator.wire.exchange import Request

_BEARER = b"Bearer "


class Gate(Protocol):
    """Admits a request or raises AWS's 403."""

    def admit(self, request: Request) -> None:
        """Raise `AwsError` if the caller may not call."""
        ...


class Anyone:
    """Admits every caller, signed or not."""

    def admit(self, request: Request) -> None:
        """Return."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Admits calls signed with a known key, or with a known Bedrock API key."""

    config: EmulatorConfig

    def admit(self, request: Request) -> None:
        """Raise `AwsError` unless the signature or API key is right."""
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            raise AwsError(NO_SIGNATURE)
        if authorization.startswith(_BEARER):
            self._check_api_key(authorization.removeprefix(_BEARER).strip())
        else:
            sigv4.verify(request, self.config.access_keys, self.config.region, datetime.now(tz=UTC))

    def _check_api_key(self, token: bytes) -> None:
        known = [hmac.compare_digest(token, key.encode()) for key in self.config.api_keys]
        if not any(known):
            raise AwsError(
                ACCESS_DENIED, "Authentication failed: Please make sure your API Key is valid."
            )


def gate(config: EmulatorConfig) -> Gate:
    """Return the gate that a configuration asks for."""
    return Verified(config) if config.auth == "verify" else Anyone()
