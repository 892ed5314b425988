"""An OIDC issuer on a socket of its own."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from joserfc.jwk import ECKey, RSAKey

from tests.support.servers.uvicorn import serving

RSA = RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})


@dataclass
class Provider:
    """What an identity provider publishes, and a count of its requests."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [RSA, EC])
    odd: list[Any] = field(default_factory=list)
    """Published beside the keys."""
    asked: int = 0
    broken: bool = False
    delay: float = 0
    keys_url: str = ""
    """Published instead of the address of its own key set."""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def configuration() -> dict[str, str]:
            return {"issuer": self.url, "jwks_uri": self.keys_url or f"{self.url}/keys"}

        @app.get("/keys")
        async def keys() -> dict[str, Any]:
            self.asked += 1
            await asyncio.sleep(self.delay)
            if self.broken:
                return {}
            return {"keys": [*self.odd, *(key.as_dict(private=False) for key in self.keys)]}

        return app


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """Serve an identity provider that publishes both keys."""
    provider = Provider()
    with serving(provider.app()) as url:
        provider.url = url
        yield provider
