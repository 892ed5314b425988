"""The S3 server that jobs read from and write to."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aioboto3
from botocore.exceptions import BotoCoreError, ClientError

from app.emulator.batch.request import Place


class UnreadableError(Exception):
    """S3 refused the job's reading or writing; the job fails with the message."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """An open client of S3."""

    client: Any

    async def files(self, place: Place) -> dict[str, int]:
        """Return the sizes of the objects under ``place`` by their keys."""
        reply = await self.client.list_objects_v2(Bucket=place.bucket, Prefix=place.key)
        sizes = {entry["Key"]: entry["Size"] for entry in reply.get("Contents", [])}
        one = {key: size for key, size in sizes.items() if key == place.key}
        return one or sizes

    async def lines(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Yield the lines of an object as they arrive."""
        reply = await self.client.get_object(Bucket=bucket, Key=key)
        body = reply["Body"]
        async with body:  # what this yields reads no lines
            async for line in body.iter_lines(chunk_size=2**18):
                yield line

    async def put(self, bucket: str, key: str, content: Any) -> None:  # noqa: ANN401 - bytes or a file
        """Write an object."""
        await self.client.put_object(Bucket=bucket, Key=key, Body=content)


@asynccontextmanager
async def opened(endpoint: str | None, region: str) -> AsyncIterator[Bucket]:
    """Open a client of the S3 server at ``endpoint``, or raise UnreadableError within.

    Credentials are the environment's, made up where it has none.
    """
    if endpoint is None:
        raise UnreadableError("The emulator was started without --s3-endpoint.")
    made_up = {} if os.environ.get("AWS_ACCESS_KEY_ID") else _MADE_UP
    try:
        async with aioboto3.Session().client(
            "s3", region_name=region, endpoint_url=endpoint, **made_up
        ) as client:
            yield Bucket(client)
    except (ClientError, BotoCoreError) as error:
        raise UnreadableError(f"S3 could not be read or written: {error}") from error


_MADE_UP = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
