"""Bounds of what is kept for one caller."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.adapters.encryption.plain import PlainData
from app.adapters.files.directory import DirectoryFiles
from app.domain.errors import FileQuotaError
from app.services.files.service import FileLimits, FileService


async def test_uploads_at_the_same_time_keep_to_one_quota(tmp_path):
    files = FileService(DirectoryFiles(tmp_path), PlainData(), FileLimits(100, 100, 3600))
    begun = asyncio.Barrier(2)

    async def chunks() -> AsyncIterator[bytes]:
        await begun.wait()
        yield b"x" * 60

    kept = await asyncio.gather(
        *(files.receive("ann", None, chunks()) for _ in range(2)), return_exceptions=True
    )

    assert any(isinstance(draft, FileQuotaError) for draft in kept)
    assert sum((await files.store.sizes("ann")).values()) <= 100


@pytest.mark.parametrize("size", [100, 101])
async def test_a_quota_may_be_used_up_and_no_more(tmp_path, size):
    files = FileService(DirectoryFiles(tmp_path), PlainData(), FileLimits(200, 100, 3600))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * size

    if size <= 100:
        assert (await files.receive("ann", None, chunks())).size == size
    else:
        with pytest.raises(FileQuotaError):
            await files.receive("ann", None, chunks())
        assert not await files.store.sizes("ann")
