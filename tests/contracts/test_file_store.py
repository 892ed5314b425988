"""The contract of every FileStore: a directory and a bucket."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aioboto3
import pytest

from app.adapters.files import directory
from app.adapters.files.directory import DirectoryFiles
from app.adapters.files.s3 import PART_BYTES, BucketConnection, open_bucket_files
from app.domain import file
from app.domain.errors import FileNotFoundHereError, FileStoreError
from app.domain.ports import FileStore
from tests.support.servers.s3 import REGION, s3_client

NOW = 1_800_000_000.0


@pytest.fixture(params=["directory", "s3"])
async def store(request, tmp_path, monkeypatch) -> AsyncIterator[FileStore]:
    if request.param == "directory":
        yield DirectoryFiles(tmp_path / "files")
        return
    url = request.getfixturevalue("s3_url")
    client = s3_client(url)
    bucket = f"files-{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
    connection = BucketConnection(bucket, "here", REGION, url)
    async with open_bucket_files(aioboto3.Session(), connection) as files:
        yield files


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(store: FileStore, file_id: str, start: int, end: int, owner: str = "ann") -> bytes:
    return b"".join([piece async for piece in store.read(owner, file_id, start, end)])


def new(expires: float = NOW + 1000) -> str:
    return file.new_id(NOW, expires)


async def test_any_range_of_bytes_can_be_read(store):
    file_id = new()

    assert await store.write("ann", file_id, pieces(b"abc", b"", b"defg")) == 7

    assert await read(store, file_id, 0, 7) == b"abcdefg"
    assert await read(store, file_id, 2, 5) == b"cde"
    assert await read(store, file_id, 3, 3) == b""
    assert await store.sizes("ann") == {file_id: 7}
    assert await store.sizes("bob") == {}


async def test_many_pieces_become_one_file(store):
    file_id, piece = new(), b"x" * 1_000_000
    count = 2 * PART_BYTES // len(piece) + 1

    await store.write("ann", file_id, pieces(*[piece] * count))

    assert await store.sizes("ann") == {file_id: count * len(piece)}
    assert await read(store, file_id, count * len(piece) - 5, count * len(piece)) == b"xxxxx"


async def test_a_failed_write_leaves_nothing(store):
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - its own
        await store.write("ann", new(), failing())

    assert await store.sizes("ann") == {}


async def test_writing_again_replaces_the_old_file(store):
    file_id = new()
    await store.write("ann", file_id, pieces(b"long before"))
    await store.write("ann", file_id, pieces(b"new"))

    assert await store.sizes("ann") == {file_id: 3}


async def test_metadata_is_stored_per_owner_and_deleted_with_the_file(store):
    file_id = new()
    await store.write("ann", file_id, pieces(b"abc"))
    assert await store.facts("ann", file_id) is None
    await store.describe("ann", file_id, b"facts")

    assert await store.facts("ann", file_id) == b"facts"
    assert await store.facts("bob", file_id) is None
    assert not await store.delete("bob", file_id)
    assert await store.delete("ann", file_id)
    assert not await store.delete("ann", file_id)
    assert await store.sizes("ann") == {}
    with pytest.raises(FileNotFoundHereError):
        await read(store, file_id, 0, 3)


async def test_an_id_that_has_only_facts_is_listed_without_bytes(store):
    file_id = new()

    await store.describe("ann", file_id, b"facts")

    assert await store.sizes("ann") == {file_id: 0}


async def test_expired_files_of_any_owner_are_deleted(store):
    old, kept = new(NOW + 10), new(NOW + 1000)
    for owner, file_id in (("ann", old), ("bob", kept)):
        await store.write(owner, file_id, pieces(b"abc"))
        await store.describe(owner, file_id, b"facts")

    assert await store.expire(NOW + 11) == 1

    assert await store.sizes("ann") == {}
    assert await store.facts("ann", old) is None
    assert await store.sizes("bob") == {kept: 3}
    assert await store.facts("bob", kept) == b"facts"


async def test_only_a_bucket_offers_upload_forms(store):
    form = await store.presigned("ann", new(), 10, 60)

    assert (form is None) == isinstance(store, DirectoryFiles)
    if form is not None:
        assert "policy" in form.fields


@dataclass
class Slow:
    """A function of the directory's that goes on in its thread until it is released."""

    function: Callable[..., Any]
    began: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    fault: OSError | None = None

    def __call__(self, *args: Any) -> Any:
        self.began.set()
        self.released.wait(30)
        try:
            return self.function(*args)
        except OSError as error:
            self.fault = error
            raise


def descriptors_under(folder: Path) -> list[Path]:
    """Return the files of a folder that this process has open."""
    targets = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    return [target for target in targets if folder in target.parents]


@pytest.mark.parametrize("step", ["_create", "_write_all"])
async def test_a_cancelled_write_ends_with_its_thread_and_leaves_nothing(
    tmp_path, monkeypatch, step
):
    slow = Slow(getattr(directory, step))
    monkeypatch.setattr(directory, step, slow)
    store = DirectoryFiles(tmp_path / "files")
    writing = asyncio.create_task(store.write("ann", new(), pieces(b"x")))
    await asyncio.to_thread(slow.began.wait, 30)

    writing.cancel()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, slow.released.set)
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert slow.released.is_set()
    assert slow.fault is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert descriptors_under(tmp_path) == []


async def test_a_bucket_that_fails_in_mid_upload_is_reported_as_such(s3_url, monkeypatch):
    client = s3_client(s3_url)
    bucket = f"files-{uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")

    async def until_the_bucket_is_gone() -> AsyncIterator[bytes]:
        yield b"x" * PART_BYTES
        (upload,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        client.delete_bucket(Bucket=bucket)
        yield b"x" * PART_BYTES

    connection = BucketConnection(bucket, "here", REGION, s3_url)
    async with open_bucket_files(aioboto3.Session(), connection) as files:
        with pytest.raises(FileStoreError):
            await files.write("ann", new(), until_the_bucket_is_gone())
