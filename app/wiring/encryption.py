"""Opens the cipher of callers' data, with its root keys and the callers' keys."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aioboto3
import structlog

from app.adapters.aws_session import CheckedConfig
from app.adapters.encryption.plain import PlainData
from app.domain.ports import DataCipher
from app.settings import Settings

if TYPE_CHECKING:
    from app.adapters.encryption.aes import EncryptedData
    from app.adapters.encryption.keys import CallerKeyStore, RootKeys

log = structlog.get_logger()


@asynccontextmanager
async def open_cipher(session: aioboto3.Session, settings: Settings) -> AsyncIterator[DataCipher]:
    """Open the configured cipher; without a root key it leaves data unencrypted."""
    if not settings.encrypts:
        yield PlainData()
        return
    async with open_encryption(session, settings) as cipher:
        yield cipher


@asynccontextmanager
async def open_encryption(
    session: aioboto3.Session, settings: Settings
) -> AsyncIterator["EncryptedData"]:
    """Open the cipher under the configured root key."""
    # A service that encrypts nothing need not load the libraries for it.
    from app.adapters.encryption.aes import EncryptedData

    async with AsyncExitStack() as stack:
        roots = await stack.enter_async_context(_open_roots(session, settings))
        store = await stack.enter_async_context(_open_caller_keys(settings))
        yield EncryptedData(roots, store, settings.caller_keys_held)


def kms_region(key: str, default: str) -> str:
    """Return the region that a key's ARN names, else ``default``."""
    return key.split(":")[3] if key.startswith("arn:") else default


@asynccontextmanager
async def _open_roots(session: aioboto3.Session, settings: Settings) -> AsyncIterator["RootKeys"]:
    from app.adapters.encryption.root_file import FileRootKeys
    from app.adapters.encryption.root_kms import KmsRootKeys

    if settings.encryption_key_file is not None:
        keys = FileRootKeys(settings.encryption_key_file)
        try:
            yield keys
        finally:
            keys.threads.close()
        return
    assert settings.encryption_kms_key is not None
    config = CheckedConfig(connect_timeout=5, read_timeout=5)
    async with session.client(
        "kms", region_name=kms_region(settings.encryption_kms_key, settings.region), config=config
    ) as client:
        yield KmsRootKeys(client, settings.encryption_kms_key)


@asynccontextmanager
async def _open_caller_keys(settings: Settings) -> AsyncIterator["CallerKeyStore"]:
    from app.adapters.encryption.caller_key_files import CallerKeyFiles

    match settings.caller_keys_store:
        case "directory":
            if settings.limits_store == "redis":
                log.warning("callers' keys are kept on this machine only", advice="redis, postgres")
            files = CallerKeyFiles(settings.data_directory / "caller-keys")
            try:
                yield files
            finally:
                files.threads.close()
        case "redis":
            from app.adapters.encryption.caller_keys_redis import CallerKeysInRedis
            from app.adapters.stores.redis_client import open_redis

            assert settings.redis_url is not None
            async with open_redis(settings.redis_url.get_secret_value()) as client:
                yield CallerKeysInRedis(client)
        case "postgres":
            # An optional dependency: only services that keep keys there install it.
            from app.adapters.encryption.caller_keys_postgres import open_caller_keys

            assert settings.postgres_url is not None
            async with open_caller_keys(settings.postgres_url.get_secret_value()) as keys:
                yield keys
