"""A real S3 server on the loopback, and a client of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

REGION = "us-west-2"


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve S3 on a free port and yield its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    before = set(s3_backends.bucket_accounts)
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        # All servers of a process share their buckets, even after they stop.
        for name in set(s3_backends.bucket_accounts) - before:
            partition, account = s3_backends.bucket_accounts.pop(name)
            del s3_backends[account][partition].buckets[name]


def s3_client(url: str, region: str = REGION) -> Any:
    """Return a synchronous client for preparing a test's data."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    )


def make_bucket(client: Any, bucket: str) -> None:
    """Create ``bucket`` with versioning."""
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
