"""Reads objects that others put into a bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aioboto3
from botocore.exceptions import ClientError

from app.adapters.files.s3 import CHUNK, is_missing, open_s3, translated
from app.domain.errors import FileNotFoundHereError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


@dataclass(frozen=True, slots=True)
class S3Objects:
    """An `ObjectReader` of S3."""

    client: "S3Client"

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes, or raise FileStoreError or FileNotFoundHereError."""
        with translated("the object of the event can't be read"):
            try:
                reply = await self.client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    raise FileNotFoundHereError("the object of the event is not there") from error
                raise
            body = reply["Body"]
            async with body:  # what this yields has no chunks
                async for chunk in body.iter_chunks(CHUNK):
                    yield chunk


@asynccontextmanager
async def open_s3_objects(
    session: aioboto3.Session, region: str, endpoint_url: str | None
) -> AsyncIterator[S3Objects]:
    """Open a client; nothing is sent to S3 before an object is read."""
    async with open_s3(session, region, endpoint_url) as client:
        yield S3Objects(client)
