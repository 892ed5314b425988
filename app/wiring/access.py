"""Opens the authentication of callers, by API keys and tokens, and the limits of their quotas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.adapters.access.issuer import Issuer
from app.adapters.access.key_file import Changed, open_key_file
from app.adapters.stores.rate_limiter import open_limiter
from app.domain import key
from app.domain.ports import Authenticator, Readiness
from app.services.access.authentication import (
    FixedKeyring,
    KeyAuthenticator,
    Keyring,
    KeysOrTokens,
    OpenAccess,
)
from app.services.access.limits import Limits
from app.settings import Settings
from app.telemetry.metrics import Metrics

log = structlog.get_logger()


@asynccontextmanager
async def open_authenticator(
    settings: Settings, changed: Changed | None = None
) -> AsyncIterator[Authenticator]:
    """Open the configured authenticator; ``changed`` is called when the key file changes."""
    if not settings.authenticates:
        yield OpenAccess()
        return
    async with open_keyring(settings, changed) as keyring:
        keys = KeyAuthenticator(keyring)
        configured = issuer(settings)
        if configured is None:
            yield keys
            return
        # A service that accepts API keys only need not load the checks of signatures.
        from app.adapters.access.tokens import open_tokens

        async with open_tokens(configured) as tokens:
            yield KeysOrTokens(keys, tokens)


def issuer(settings: Settings) -> Issuer | None:
    """Return the issuer whose tokens are accepted; None if none is configured."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return Issuer(
        settings.oidc_issuer,
        settings.oidc_audience,
        settings.oidc_jwks_url,
        settings.oidc_scope_claim,
        settings.oidc_scope_names,
        settings.oidc_filter_claims,
    )


@asynccontextmanager
async def open_keyring(
    settings: Settings, changed: Changed | None = None
) -> AsyncIterator[Keyring]:
    """Open the keyring of API keys; it is empty if none are configured."""
    if settings.keys_file is not None:
        async with open_key_file(settings.keys_file, settings.keys_reload, changed) as keyring:
            yield keyring
        return
    records = key.parse(settings.keys.get_secret_value()) if settings.keys else ()
    yield FixedKeyring({record.id: record for record in records})


@asynccontextmanager
async def open_limits(settings: Settings, metrics: Metrics) -> AsyncIterator[Limits]:
    """Open the limits that count callers' quotas."""
    shared = settings.redis_url if settings.limits_store == "redis" else None
    if settings.limits and not shared and settings.workers > 1:
        log.warning("each worker counts limits on its own", workers=settings.workers)
    async with open_limiter(shared.get_secret_value() if shared else None) as limiter:
        yield Limits(limiter, settings.limits, metrics, settings.limits_failure == "open")


@asynccontextmanager
async def open_limits_check(settings: Settings) -> AsyncIterator[tuple[Readiness, ...]]:
    """Open the readiness check of the limits' store; none if each process counts alone."""
    if settings.limits_store != "redis" or settings.redis_url is None:
        yield ()
        return
    # A process that counts alone need not load the client of Redis.
    from app.adapters.stores.redis_scripts import open_scripts_check

    async with open_scripts_check(settings.redis_url.get_secret_value()) as check:
        yield (check,)
