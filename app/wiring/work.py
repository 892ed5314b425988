"""Opens the stores of files and of long-running work."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aioboto3

from app.adapters.files.directory import DirectoryFiles
from app.adapters.files.s3 import BucketConnection, open_bucket_files
from app.adapters.queue.sealed import SealedQueue
from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.ports import DataCipher, FileStore, WorkQueue
from app.services.files.service import FileLimits, FileService
from app.settings import Settings


@asynccontextmanager
async def open_queue(settings: Settings, cipher: DataCipher) -> AsyncIterator[WorkQueue]:
    """Open the queue of batches, jobs and webhooks, whose content ``cipher`` encrypts."""
    async with AsyncExitStack() as stack:
        yield SealedQueue(await _queue(stack, settings), cipher)


async def _queue(stack: AsyncExitStack, settings: Settings) -> WorkQueue:
    if settings.queue_store == "sqlite":
        path = settings.data_directory / "work.sqlite3"
        return await stack.enter_async_context(open_sqlite_queue(path, settings.work_lease))
    # An optional dependency: only services that keep work there install it.
    from app.adapters.queue.postgres.queue import open_postgres_queue

    assert settings.postgres_url is not None
    url = settings.postgres_url.get_secret_value()
    return await stack.enter_async_context(open_postgres_queue(url, settings.work_lease))


@asynccontextmanager
async def open_files(
    session: aioboto3.Session, settings: Settings, cipher: DataCipher
) -> AsyncIterator[FileService]:
    """Open the store of callers' files, which ``cipher`` encrypts."""
    limits = FileLimits(settings.max_file_bytes, settings.files_quota_bytes, settings.files_expire)
    async with AsyncExitStack() as stack:
        yield FileService(await _store(stack, session, settings), cipher, limits)


async def _store(stack: AsyncExitStack, session: aioboto3.Session, settings: Settings) -> FileStore:
    if settings.files_store == "directory":
        return DirectoryFiles(settings.data_directory / "files")
    assert settings.files_bucket is not None
    bucket, _, prefix = settings.files_bucket.partition("/")
    connection = BucketConnection(
        bucket,
        prefix.rstrip("/"),
        *files_address(settings),
    )
    return await stack.enter_async_context(open_bucket_files(session, connection))


def files_address(settings: Settings) -> tuple[str, str | None]:
    """Return the region of the bucket for files, and the URL called instead of S3's, if set."""
    url = settings.files_endpoint_url
    return settings.files_region or settings.region, str(url) if url else None
