"""Checks of other services: buckets of pictures, Redis, PostgreSQL, the token issuer."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from redis.exceptions import RedisError

from app.adapters.access.tokens import open_tokens
from app.adapters.aws_session import aws_session
from app.adapters.bedrock.model_import import sentence
from app.adapters.stores.redis_client import open_redis
from app.cli.doctor.aws import CONFIG
from app.domain.errors import IdentityProviderError
from app.domain.finding import Finding, fault, ok, warning
from app.settings import PREFIX, Settings
from app.wiring.access import issuer


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Yield a finding for each such service that the settings name."""
    checks = [_bucket(settings, name.partition("/")[0]) for name in settings.image_s3_buckets or ()]
    if settings.redis_url is not None:
        checks.append(_redis(settings.redis_url.get_secret_value()))
    if settings.postgres_url is not None:
        checks.append(_postgres(settings.postgres_url.get_secret_value()))
    if settings.authenticates and settings.oidc_issuer is not None:
        checks.append(_issuer(settings))
    for finding in await asyncio.gather(*checks):
        yield finding


async def _bucket(settings: Settings, name: str) -> Finding:
    endpoint = settings.image_s3_endpoint_url
    region = settings.image_s3_region or settings.region
    subject, mend = f"bucket {name}", "Check its name and grant s3:ListBucket and s3:GetObject."
    try:
        async with aws_session().client(
            "s3",
            region_name=region,
            endpoint_url=str(endpoint) if endpoint else None,
            config=CONFIG,
        ) as s3:
            reply = await s3.head_bucket(Bucket=name)
    except ClientError as error:
        return fault(subject, sentence(error), mend)
    except (BotoCoreError, OSError) as error:
        return fault(subject, f"S3 can't be reached: {error}", "Check the network.")
    return ok(subject, f"in {reply.get('BucketRegion', region)}")


async def _redis(url: str) -> Finding:
    mend = f"Check {PREFIX}REDIS_URL; its user needs EVALSHA and SCRIPT LOAD."
    try:
        async with open_redis(url) as client:
            # Limits are counted by scripts: if Redis refuses them, every call passes.
            await client.script_load("return 1")
            info = await client.info("server")
    except (RedisError, OSError) as error:
        return fault("Redis", f"{type(error).__name__}: {error}".replace(url, "…"), mend)
    return ok("Redis", f"version {info.get('redis_version')}")


async def _postgres(url: str) -> Finding:
    mend = f"Check {PREFIX}POSTGRES_URL."
    try:
        # An optional dependency: only services that keep data there install it.
        import asyncpg

        from app.adapters.stores.postgres import tls
    except ImportError:
        return warning("PostgreSQL", "asyncpg is not installed", "Install the extra postgres.")
    try:
        connection = await asyncpg.connect(url, timeout=5, ssl=tls(url))
        version = await connection.fetchval("SHOW server_version")
        await connection.close()
    except ValueError as error:
        # The library's own error quotes a URL that it can't read, password included.
        return fault("PostgreSQL", f"{type(error).__name__}: the URL can't be read", mend)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        return fault("PostgreSQL", f"{type(error).__name__}: {error}", mend)
    return ok("PostgreSQL", f"version {version}")


async def _issuer(settings: Settings) -> Finding:
    configured = issuer(settings)
    assert configured is not None
    mend = f"Check {PREFIX}OIDC_ISSUER and {PREFIX}OIDC_JWKS_URL."
    try:
        async with open_tokens(configured) as tokens:
            keys = await tokens.keys.holding("")
    except (IdentityProviderError, httpx.HTTPError) as error:
        return fault("OIDC issuer", str(error), mend)
    return ok("OIDC issuer", f"{configured.url}, {len(keys.keys)} key(s)")
