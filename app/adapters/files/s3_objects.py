"""Reads objects that others put into a bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aioboto3
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import CheckedConfig
from app.domain.errors import FileNotFoundHereError, FileStoreError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CHUNK = 256 * 1024
_MISSING = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class S3Objects:
    """An `ObjectReader` of S3."""

    client: "S3Client"

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes, or raise FileStoreError or FileNotFoundHereError."""
        try:
            reply = await self.client.get_object(Bucket=bucket, Key=key)
            body = reply["Body"]
            async with body:
                async for chunk in body.iter_chunks(CHUNK):
                    yield chunk
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if code in _MISSING:
                raise FileNotFoundHereError("the object of the event is not there") from error
            raise FileStoreError(f"the object of the event can't be read: {code}") from error
        except (BotoCoreError, OSError) as error:
            name = type(error).__name__
            raise FileStoreError(f"the object of the event can't be read: {name}") from error


@asynccontextmanager
async def open_s3_objects(
    session: aioboto3.Session, region: str, endpoint_url: str | None
) -> AsyncIterator[S3Objects]:
    """Open a client; nothing is asked of S3 before it is used."""
    config = CheckedConfig(
        connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 3, "mode": "standard"}
    )
    async with session.client(
        "s3", region_name=region, endpoint_url=endpoint_url, config=config
    ) as client:
        yield S3Objects(client)
