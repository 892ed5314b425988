"""Files in an S3 bucket, for several machines: two objects for each file.

Parts of an upload that a dying process left behind are the bucket's to delete: see
docs/batches.md for the lifecycle rule.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aioboto3
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import CheckedConfig
from app.adapters.files.directory import FACTS, folder_of, sizes_of
from app.domain import file
from app.domain.errors import FileNotFoundHereError, FileStoreError
from app.domain.file import PresignedForm

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

PART_BYTES = 8 * 1024 * 1024
"""Bytes of a part, but for the last; S3 takes no fewer than 5 MiB."""
CHUNK = 256 * 1024
_MISSING = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class BucketConnection:
    """A bucket and how it is reached."""

    bucket: str
    prefix: str
    """The prefix of all keys, without a trailing slash; empty for none."""
    region: str
    endpoint_url: str | None = None


@contextmanager
def translated(failure: str = "the bucket for files can't be used") -> Iterator[None]:
    """Raise FileStoreError, which begins with ``failure``, in place of S3's errors."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise FileStoreError(f"{failure}: {code}") from error
    except (BotoCoreError, OSError) as error:
        raise FileStoreError(f"{failure}: {type(error).__name__}") from error


def is_missing(error: ClientError) -> bool:
    """Tell whether S3 has no such object."""
    return error.response.get("Error", {}).get("Code") in _MISSING


@dataclass(frozen=True, slots=True)
class BucketFiles:
    """A `FileStore` in a bucket."""

    client: "S3Client"
    connection: BucketConnection

    def _key(self, owner: str, file_id: str) -> str:
        prefix = self.connection.prefix
        return f"{prefix}/{folder_of(owner)}/{file_id}".lstrip("/")

    async def write(self, owner: str, file_id: str, pieces: AsyncIterator[bytes]) -> int:
        """Store the bytes of ``pieces``; store nothing if ``pieces`` fails."""
        key, bucket = self._key(owner, file_id), self.connection.bucket
        waiting = bytearray()
        written = 0
        upload: str | None = None
        parts: list[str] = []
        try:
            async for piece in pieces:
                waiting += piece
                written += len(piece)
                while len(waiting) >= PART_BYTES:
                    with translated():
                        if upload is None:
                            begun = await self.client.create_multipart_upload(
                                Bucket=bucket, Key=key
                            )
                            upload = begun["UploadId"]
                        await self._part(key, upload, parts, bytes(waiting[:PART_BYTES]))
                    del waiting[:PART_BYTES]
            with translated():
                if upload is None:
                    await self.client.put_object(Bucket=bucket, Key=key, Body=bytes(waiting))
                    return written
                if waiting:
                    await self._part(key, upload, parts, bytes(waiting))
                await self.client.complete_multipart_upload(
                    Bucket=bucket,
                    Key=key,
                    UploadId=upload,
                    MultipartUpload={
                        "Parts": [
                            {"PartNumber": number, "ETag": etag}
                            for number, etag in enumerate(parts, 1)
                        ]
                    },
                )
        except BaseException:
            if upload is not None:
                # A bucket that takes no part may refuse this as well; the first error is the cause.
                with suppress(FileStoreError), translated():
                    await self.client.abort_multipart_upload(
                        Bucket=bucket, Key=key, UploadId=upload
                    )
            raise
        return written

    async def _part(self, key: str, upload: str, parts: list[str], body: bytes) -> None:
        reply = await self.client.upload_part(
            Bucket=self.connection.bucket,
            Key=key,
            UploadId=upload,
            PartNumber=len(parts) + 1,
            Body=body,
        )
        parts.append(reply["ETag"])

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        """Store the facts of a file."""
        with translated():
            await self.client.put_object(
                Bucket=self.connection.bucket, Key=self._key(owner, file_id + FACTS), Body=facts
            )

    async def facts(self, owner: str, file_id: str) -> bytes | None:
        """Return the facts of a file; None if there is none."""
        key = self._key(owner, file_id + FACTS)
        with translated():
            try:
                reply = await self.client.get_object(Bucket=self.connection.bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            body = reply["Body"]
            async with body:
                return await body.read()

    async def read(self, owner: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to ``end``, or raise FileNotFoundHereError."""
        if start >= end:
            return
        with translated():
            try:
                reply = await self.client.get_object(
                    Bucket=self.connection.bucket,
                    Key=self._key(owner, file_id),
                    Range=f"bytes={start}-{end - 1}",
                )
            except ClientError as error:
                if is_missing(error):
                    raise FileNotFoundHereError(f"there is no file {file_id}") from error
                raise
            left = end - start
            body = reply["Body"]
            async with body:  # what this yields has no chunks
                async for chunk in body.iter_chunks(CHUNK):
                    left -= len(chunk)
                    yield chunk
        if left:
            raise FileStoreError("a file is shorter than it was")

    async def sizes(self, owner: str) -> Mapping[str, int]:
        """Return the number of bytes stored under each of the owner's ids."""
        prefix = self._key(owner, "")
        return sizes_of(
            [(key.removeprefix(prefix), size) async for key, size in self._objects(prefix)]
        )

    async def _objects(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        with translated():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.connection.bucket, Prefix=prefix
            )
            async for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"], entry["Size"]

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file and its facts, and tell whether there was one."""
        known = await self.facts(owner, file_id) is not None
        key = self._key(owner, file_id)
        with translated():
            for name in (key + FACTS, key):
                await self.client.delete_object(Bucket=self.connection.bucket, Key=name)
        return known

    async def expire(self, now: float) -> int:
        """Delete all callers' expired files."""
        prefix = self.connection.prefix
        expired = 0
        async for key, _ in self._objects(f"{prefix}/" if prefix else ""):
            name = key.rpartition("/")[2].removesuffix(FACTS)
            try:
                over = file.expires_at(name) <= now
            except ValueError:
                continue
            if over:
                with translated():
                    await self.client.delete_object(Bucket=self.connection.bucket, Key=key)
                expired += not key.endswith(FACTS)
        return expired

    async def presigned(
        self, owner: str, file_id: str, size: int, seconds: int
    ) -> PresignedForm | None:
        """Return a form by which anyone can put ``size`` bytes there."""
        with translated():
            form = await self.client.generate_presigned_post(
                Bucket=self.connection.bucket,
                Key=self._key(owner, file_id),
                Conditions=[["content-length-range", size, size]],
                ExpiresIn=seconds,
            )
        return PresignedForm(form["url"], form["fields"])


@asynccontextmanager
async def open_s3(
    session: aioboto3.Session, region: str, endpoint_url: str | None
) -> AsyncIterator["S3Client"]:
    """Open a client for files; nothing is sent to S3 before it is used."""
    config = CheckedConfig(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )
    async with session.client(
        "s3", region_name=region, endpoint_url=endpoint_url, config=config
    ) as client:
        yield client


@asynccontextmanager
async def open_bucket_files(
    session: aioboto3.Session, connection: BucketConnection
) -> AsyncIterator[BucketFiles]:
    """Open the bucket; nothing is sent to it before it is used."""
    async with open_s3(session, connection.region, connection.endpoint_url) as client:
        yield BucketFiles(client, connection)
