"""Limits of the files stored for one caller."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.adapters.encryption.plain import PlainData
from app.adapters.files.directory import DirectoryFiles
from app.domain.errors import FileQuotaError, StorageFullError
from app.domain.file import FilePurpose
from app.services.files.service import FileLimits, FileService


async def test_concurrent_uploads_share_one_quota(tmp_path):
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
async def test_a_quota_can_be_used_exactly_up(tmp_path, size):
    files = FileService(DirectoryFiles(tmp_path), PlainData(), FileLimits(200, 100, 3600))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * size

    if size <= 100:
        assert (await files.receive("ann", None, chunks())).size == size
    else:
        with pytest.raises(FileQuotaError):
            await files.receive("ann", None, chunks())
        assert not await files.store.sizes("ann")


class WithoutRoomForFacts(DirectoryFiles):
    """A store whose last room is used up by a file's bytes."""

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        raise StorageFullError("there is no room left")


async def test_a_file_whose_facts_find_no_room_leaves_no_bytes(tmp_path):
    files = FileService(WithoutRoomForFacts(tmp_path), PlainData(), FileLimits(100, 100, 3600))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 60

    draft = await files.receive("ann", None, chunks())
    with pytest.raises(StorageFullError):
        await files.finish(draft, "a", FilePurpose.BATCH)

    assert await files.store.sizes("ann") == {}


class CountingCipher(PlainData):
    """Counts decryptions."""

    decrypted = 0

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        self.decrypted += 1
        return await super().decrypt(owner, ciphertext, purpose)


async def test_rows_that_start_together_read_their_block_once(tmp_path):
    cipher = CountingCipher()
    files = FileService(DirectoryFiles(tmp_path), cipher, FileLimits(100, 100, 3600))

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(range(33, 123))

    stored = await files.finish(await files.receive("ann", None, chunks()), "a", FilePurpose.BATCH)
    rows = await asyncio.gather(
        *(files.read_range(stored, start, start + 30) for start in (0, 30, 60))
    )

    assert b"".join(rows) == bytes(range(33, 123))
    assert cipher.decrypted == 1
