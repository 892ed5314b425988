"""Files in a directory: one folder for each caller, two entries for each file.

A file's bytes arrive under another name and get their own by renaming; its facts come last.
Leftovers of a process that died are deleted along with expired files.
"""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from app.domain import file
from app.domain.errors import FileNotFoundHereError, FileStoreError, StorageFullError
from app.domain.file import PresignedForm
from app.services.concurrency.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

CHUNK = 1024 * 1024
FACTS, PART = ".facts", ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABANDONED = 24 * 3600
"""Seconds after which an unfinished file counts as abandoned."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError("this service has no room left for files") from error
        raise FileStoreError(f"files can't be stored or read: {error.strerror}") from error


def folder_of(owner: str) -> str:
    """Return the name of a caller's folder, which does not tell who it is."""
    return hashlib.sha256(owner.encode()).hexdigest()[:32]


def sizes_of(entries: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the bytes of each id, given the names and sizes of the stored bytes and facts."""
    sizes: dict[str, int] = {}
    for name, size in entries:
        if name.endswith(FACTS):
            sizes.setdefault(name.removesuffix(FACTS), 0)
        else:
            sizes[name] = size
    return sizes


@dataclass(frozen=True, slots=True)
class DirectoryFiles:
    """A `FileStore` under ``root``, which is made when something is first kept."""

    root: Path
    threads: Threads = field(default_factory=lambda: Threads("files", 4))

    def _path(self, owner: str, file_id: str) -> Path:
        return self.root / folder_of(owner) / file_id

    async def write(self, owner: str, file_id: str, pieces: AsyncIterator[bytes]) -> int:
        """Store the bytes of ``pieces``; store nothing if ``pieces`` fails."""
        path = self._path(owner, file_id)
        part = path.with_name(f"{path.name}.{os.urandom(4).hex()}{PART}")
        written = 0
        opened: list[int] = []
        try:
            await self._run(_open, _create, part, opened)
            async for piece in pieces:
                await self._run(_write_all, opened[0], piece)
                written += len(piece)
            await self._run(os.fsync, opened[0])
            await self._run(part.replace, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            _close(opened)
        return written

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        """Store the facts of a file."""
        await self._run(_put, self._path(owner, file_id + FACTS), facts)

    async def facts(self, owner: str, file_id: str) -> bytes | None:
        """Return the facts of a file; None if there is none."""
        try:
            return await self.threads.run(self._path(owner, file_id + FACTS).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileStoreError(f"files can't be read: {error.strerror}") from error

    async def read(self, owner: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to ``end``, or raise FileNotFoundHereError."""
        opened: list[int] = []
        try:
            await self._run(_open, _existing, self._path(owner, file_id), opened)
            if not opened:
                raise FileNotFoundHereError(f"there is no file {file_id}")
            while start < end:
                piece = await self._run(os.pread, opened[0], min(CHUNK, end - start), start)
                if not piece:
                    raise FileStoreError("a file is shorter than it was")
                start += len(piece)
                yield piece
        finally:
            _close(opened)

    async def sizes(self, owner: str) -> Mapping[str, int]:
        """Return the number of bytes stored under each of the owner's ids."""
        return await self._run(_sizes, self.root / folder_of(owner))

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file and its facts, and tell whether there was one."""
        return await self._run(_delete, self._path(owner, file_id))

    async def expire(self, now: float) -> int:
        """Delete expired and unfinished files."""
        return await self._run(_expire, self.root, now)

    async def presigned(
        self,
        owner: str,  # noqa: ARG002 - the port's
        file_id: str,  # noqa: ARG002 - the port's
        size: int,  # noqa: ARG002 - the port's
        seconds: int,  # noqa: ARG002 - the port's
    ) -> PresignedForm | None:
        """Return None, since a directory accepts no direct uploads."""
        return None

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        run = asyncio.ensure_future(self.threads.run(function, *args, **kwargs))
        try:
            with _translated():
                return await asyncio.shield(run)
        except asyncio.CancelledError:
            # The thread goes on: a descriptor that is closed under it may become another file's.
            await asyncio.gather(run, return_exceptions=True)
            raise


def _open(how: Callable[[Path], int | None], path: Path, opened: list[int]) -> None:
    """Add the descriptor of the file to ``opened``, where it is found even after a cancellation."""
    descriptor = how(path)
    if descriptor is not None:
        opened.append(descriptor)


def _close(opened: list[int]) -> None:
    for descriptor in opened:
        os.close(descriptor)


def _existing(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None


def _create(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.urandom(4).hex()}{PART}")
    try:
        descriptor = _create(part)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sizes(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            stored = [entry for entry in entries if not entry.name.endswith(PART)]
            return sizes_of([(entry.name, entry.stat().st_size) for entry in stored])
    except FileNotFoundError:
        return {}


def _delete(path: Path) -> bool:
    facts = path.with_name(path.name + FACTS)
    known = facts.exists()
    facts.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return known


def _expire(root: Path, now: float) -> int:
    expired = 0
    for folder in root.iterdir() if root.exists() else ():
        for path in folder.iterdir():
            name = path.name.removesuffix(FACTS)
            if path.name.endswith(PART) or not _has_facts(path):
                # Its bytes were written, but not its facts.
                if path.stat().st_mtime < now - _ABANDONED:
                    path.unlink(missing_ok=True)
            elif name == path.name and _is_over(name, now):
                expired += _delete(path)
            elif name != path.name and not path.with_name(name).exists() and _is_over(name, now):
                path.unlink(missing_ok=True)
    return expired


def _has_facts(path: Path) -> bool:
    return path.name.endswith(FACTS) or path.with_name(path.name + FACTS).exists()


def _is_over(name: str, now: float) -> bool:
    try:
        return file.expires_at(name) <= now
    except ValueError:
        return False
