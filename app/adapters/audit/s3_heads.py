"""Writes audit heads to S3 under Object Lock, so that nobody can delete or replace them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

LOCKED = timedelta(days=400)
"""A head's lock, in compliance mode: even the account's owner can't shorten it."""


@dataclass(frozen=True, slots=True)
class S3Heads:
    """Puts each head as an object of its own, named by its size."""

    client: "S3Client"
    bucket: str
    prefix: str = ""

    async def put(self, size: int, signature: str) -> None:
        """Write a head. Raises botocore's errors."""
        await self.client.put_object(
            Bucket=self.bucket,
            Key=f"{self.prefix}{size:020d}.jws",
            Body=signature.encode(),
            ContentType="application/jose",
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + LOCKED,
        )
