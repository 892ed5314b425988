"""Opens the cipher that all parts keep callers' data by."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.encryption.plain import PlainData
from app.domain.ports import DataCipher
from app.settings import Settings


@asynccontextmanager
async def open_cipher(session: aioboto3.Session, settings: Settings) -> AsyncIterator[DataCipher]:
    """Open the cipher that the settings name; it keeps data as it is where they name no key."""
    if not settings.encrypts:
        yield PlainData()
        return
    # Whoever keeps data as it is need not load what encrypts.
    from app.wiring.encryption import open_encryption

    async with open_encryption(session, settings) as cipher:
        yield cipher


def kms_region(key: str, default: str) -> str:
    """Return the region that a key's ARN names, else ``default``."""
    return key.split(":")[3] if key.startswith("arn:") else default
