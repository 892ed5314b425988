"""Pictures from Amazon S3, from allowed buckets, whose sizes are checked before they are read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import aioboto3

from app.adapters.aws_session import CheckedConfig
from app.adapters.sources import errors
from app.adapters.sources.clock import timed
from app.domain.errors import (
    ImageS3NotAllowedError,
    ImageSourceDeniedError,
    ImageTooLargeError,
)
from app.domain.image import ReceivedImage, S3Image
from app.domain.ports import Arrival

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CHUNK_BYTES = 64 * 1024
MAX_CONNECTIONS = 32

_CLIMBING = {".", ".."}
_UNTYPED = ("binary/octet-stream", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of a connection to S3."""

    region: str
    endpoint_url: str | None = None
    timeout: float = 10
    """Seconds to connect, and without a byte."""


@asynccontextmanager
async def open_client(
    session: aioboto3.Session, connection: Connection
) -> AsyncIterator["S3Client"]:
    """Open an S3 client."""
    config = CheckedConfig(
        connect_timeout=connection.timeout,
        read_timeout=connection.timeout,
        max_pool_connections=MAX_CONNECTIONS,
        # Reading twice costs nothing, and there is time for one more attempt.
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    async with session.client(
        "s3",
        region_name=connection.region,
        endpoint_url=connection.endpoint_url,
        config=config,
    ) as client:
        yield client


class ObjectName(TypedDict, total=False):
    """An object, named as S3 names it."""

    Bucket: str
    Key: str
    VersionId: str
    ExpectedBucketOwner: str


@dataclass(frozen=True, slots=True)
class S3ImageSource:
    """Fetches objects of allowed buckets with the service's own AWS identity."""

    client: "S3Client"
    buckets: tuple[str, ...]
    """``bucket``, or ``bucket/prefix`` for the keys that start with the prefix."""
    max_bytes: int
    timeout: float
    """Seconds for all requests to S3 together."""
    owner: str | None = None
    """The account that must own the bucket, 12 digits."""

    async def fetch(self, image: S3Image, arrival: Arrival) -> ReceivedImage:
        """Return the object's bytes and declared type, or raise an ImageError."""
        self._check(image)
        with errors.from_s3():
            async with timed(self.timeout, arrival) as counted:
                return await self._read(image, counted)

    def _check(self, image: S3Image) -> None:
        # S3 takes a key as it is written; proxies in front of other stores may not.
        if not _CLIMBING.isdisjoint(image.key.replace("\\", "/").split("/")):
            raise ImageS3NotAllowedError("the key has . or .. as a part of its path")
        for entry in self.buckets:
            bucket, _, prefix = entry.partition("/")
            if image.bucket == bucket and image.key.startswith(prefix):
                self._check_owner(image)
                return
        raise ImageS3NotAllowedError(
            f"the bucket {image.bucket}, or this key in it, is not among those that this service "
            "may read pictures from"
        )

    def _check_owner(self, image: S3Image) -> None:
        # S3 takes one expected account: the operator's, from which the caller's must not differ.
        if self.owner is not None and image.owner not in (None, self.owner):
            raise ImageSourceDeniedError(
                "the bucket must belong to the expected account, which is not the owner named "
                "with the picture"
            )

    async def _read(self, image: S3Image, arrival: Arrival) -> ReceivedImage:
        name = self._name(image)
        head = await self.client.head_object(**name)
        self._check_size(head["ContentLength"])
        # The very object whose size was checked, even if another takes its place meanwhile.
        reply = await self.client.get_object(**name, IfMatch=head["ETag"])
        data = bytearray()
        body = reply["Body"]
        async with body:  # what this yields checks no length
            async for chunk in body.iter_chunks(CHUNK_BYTES):
                self._check_size(len(data) + len(chunk))
                await arrival.grow_to(len(data) + len(chunk))
                data += chunk
        return ReceivedImage(bytes(data), declared_type(head.get("ContentType")), image.name)

    def _name(self, image: S3Image) -> ObjectName:
        name = ObjectName(Bucket=image.bucket, Key=image.key)
        if image.version_id is not None:
            name["VersionId"] = image.version_id
        owner = self.owner or image.owner
        if owner is not None:
            name["ExpectedBucketOwner"] = owner
        return name

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise ImageTooLargeError(
                f"has {size:,} bytes or more; at most {self.max_bytes:,} are accepted"
            )


def declared_type(content_type: str | None) -> str | None:
    """Return the object's media type, None for S3's default."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    return None if declared in ("", *_UNTYPED) else declared
