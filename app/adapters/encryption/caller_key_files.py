"""Callers' wrapped secrets in a directory, a file each; the workers of one machine share it."""

import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from app.adapters.encryption.keys import WrappedSecret
from app.domain.errors import DataKeyError
from app.services.concurrency.threads import Threads

T = TypeVar("T")
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class CallerKeyFiles:
    """A CallerKeyStore of files that are written completely or not at all, and flushed to disk."""

    folder: Path
    threads: Threads = field(default_factory=lambda: Threads("caller-keys"))

    async def get(self, owner: str) -> WrappedSecret | None:
        """Return the owner's secret; None if there is none."""
        return await self._run(lambda: self._read(owner))

    async def add(self, owner: str, wrapped: WrappedSecret) -> WrappedSecret:
        """Store ``wrapped`` unless the owner has a secret, and return the stored one."""
        return await self._run(lambda: self._add(owner, wrapped))

    async def replace(self, owner: str, old: WrappedSecret, new: WrappedSecret) -> bool:
        """Replace ``old`` by ``new``, and tell whether ``old`` was stored."""
        return await self._run(lambda: self._replace(owner, old, new))

    async def drop(self, owner: str) -> bool:
        """Forget the owner's secret."""
        return await self._run(lambda: self._drop(owner))

    async def owners(self) -> AsyncIterator[str]:
        """Yield the digests of all owners."""
        for name in await self._run(self._names):
            yield name

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self.threads.run(work)
        except (OSError, ValueError) as error:
            raise DataKeyError(f"callers' keys can't be used: {type(error).__name__}") from error

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.name[0] != ".")

    def _read(self, owner: str) -> WrappedSecret | None:
        try:
            root, _, text = (self.folder / owner).read_text("utf-8").partition("\n")
        except FileNotFoundError:
            return None
        return WrappedSecret(root, text.strip())

    def _add(self, owner: str, wrapped: WrappedSecret) -> WrappedSecret:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            there = self._read(owner)
            if there is None:
                self._write(owner, wrapped)
            return there or wrapped

    def _replace(self, owner: str, old: WrappedSecret, new: WrappedSecret) -> bool:
        # A secret dropped meanwhile must not come back.
        with self._locked():
            if self._read(owner) != old:
                return False
            self._write(owner, new)
            return True

    def _drop(self, owner: str) -> bool:
        if not self.folder.is_dir():
            return False
        with self._locked():
            try:
                (self.folder / owner).unlink()
            except FileNotFoundError:
                return False
            self._settle()
            return True

    def _write(self, owner: str, wrapped: WrappedSecret) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".new.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{wrapped.root}\n{wrapped.text}\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self.folder / owner)
        self._settle()

    def _settle(self) -> None:
        """Write the folder's own entries to the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
