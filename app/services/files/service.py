"""Stores callers' files: bounded in size, encrypted in pieces, and deleted on expiry."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import orjson

from app.domain import file
from app.domain.errors import (
    FileNotFoundHereError,
    FileQuotaError,
    FileStoreError,
    FileTooLargeError,
    InvalidParameterError,
)
from app.domain.file import PIECE, FilePurpose, StoredFile
from app.domain.ports import DataCipher, FileStore
from app.services.concurrency.single_flight import SingleFlight
from app.services.files.media_type import HEAD, media_type

RUN = 4 * PIECE
"""Bytes of a file (1 MiB) read at once for rows of a batch, which are read in order."""
KEPT_RUNS = 4
"""Number of decrypted runs kept in memory, so that neighbouring rows need one read."""
SHORTEST, LONGEST = 3600, 30 * 24 * 3600
"""Minimum and maximum lifetime of a file in seconds; the routes check it."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Limits on the size and lifetime of one caller's files."""

    max_bytes: int
    """Maximum size of one file in bytes."""
    quota: int
    """Maximum total size of one caller's files in bytes."""
    seconds: float
    """Default lifetime of a file in seconds."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A file whose bytes are stored but whose facts are not yet."""

    id: str
    owner: str
    size: int
    """Plain size in bytes."""
    sealed_size: int
    """Encrypted size in bytes."""
    head: bytes
    sealed_piece: int


@dataclass(slots=True)
class FileService:
    """Stores files for each caller. Files are streamed and never whole in memory."""

    store: FileStore
    cipher: DataCipher
    limits: FileLimits
    clock: Callable[[], float] = time.time
    _runs: OrderedDict[tuple[str, int], bytes] = field(default_factory=OrderedDict)
    _reading: SingleFlight[tuple[str, int], bytes] = field(default_factory=SingleFlight)

    def lifetime(self, seconds: float | None) -> float:
        """Return the lifetime of a file in seconds, given the caller's wish or None."""
        return self.limits.seconds if seconds is None else seconds

    async def receive(
        self,
        owner: str,
        seconds: float | None,
        chunks: AsyncIterator[bytes],
        *,
        file_id: str | None = None,
        spare: int = 0,
    ) -> Draft:
        """Store the bytes of a new file, which becomes visible once `finish` adds its facts.

        Its id is ``file_id``, or else a new one. The quota may be exceeded by ``spare`` bytes.
        Raises FileTooLargeError, FileQuotaError, StorageFullError or FileStoreError, in which case
        nothing is kept.
        """
        now = self.clock()
        file_id = file_id or file.new_id(now, now + self.lifetime(seconds))
        most, left = self.limits.max_bytes, await self.room(owner) + spare
        draft = await self._receive(owner, file_id, chunks, most, left)
        if await self.room(owner) + spare < 0:
            # Concurrent uploads each had room when they began, but not all of them together.
            await self.discard(draft)
            raise _over_quota()
        return draft

    async def rewrite(self, owner: str, file_id: str, chunks: AsyncIterator[bytes]) -> Draft:
        """Store the bytes of the service's own file under ``file_id``, replacing earlier ones."""
        return await self._receive(owner, file_id, chunks)

    async def _receive(
        self,
        owner: str,
        file_id: str,
        chunks: AsyncIterator[bytes],
        most: int | None = None,
        left: int | None = None,
    ) -> Draft:
        sealing = _Sealing(self.cipher, owner, file_id, most, left)
        kept = await self.store.write(owner, file_id, sealing.sealed(chunks))
        return Draft(file_id, owner, sealing.size, kept, sealing.head, sealing.sealed_piece)

    async def room(self, owner: str) -> int:
        """Return the number of bytes left in the caller's quota.

        Uploads have taken the bytes that they announced, as their forms accept these at any time.
        """
        sizes = await self.store.sizes(owner)
        taken = sum(max(size, file.announced(name)) for name, size in sizes.items())
        return self.limits.quota - taken

    async def finish(self, draft: Draft, name: str, purpose: FilePurpose) -> StoredFile:
        """Make a file of ``draft``, or discard it.

        Raises the errors of `media_type`, StorageFullError or FileStoreError.
        """
        try:
            stored = StoredFile(
                draft.id,
                draft.owner,
                name,
                purpose,
                draft.size,
                media_type(draft.head, purpose),
                draft.sealed_piece,
                draft.sealed_size,
            )
            await self._describe(stored)
        except BaseException:
            # Bytes without facts would keep a full disk full, and count against the quota.
            with suppress(FileStoreError):
                await self.discard(draft)
            raise
        return stored

    async def _describe(self, stored: StoredFile) -> None:
        facts = orjson.dumps(
            {
                "name": stored.name,
                "purpose": stored.purpose,
                "bytes": stored.bytes,
                "media_type": stored.media_type,
                "sealed_piece": stored.sealed_piece,
                "sealed_bytes": stored.sealed_bytes,
            }
        )
        sealed = await self.cipher.encrypt(stored.owner, facts, _facts_purpose(stored.id))
        await self.store.describe(stored.owner, stored.id, sealed)

    async def discard(self, draft: Draft) -> None:
        """Delete the bytes of a draft, unless a repeated request made a file of them already."""
        if await self.store.facts(draft.owner, draft.id) is None:
            await self.store.delete(draft.owner, draft.id)

    async def copy(self, stored: StoredFile, copy_id: str) -> StoredFile:
        """Copy a file for the service's own use, so that the copy outlives the file.

        Callers do not see the copy, whose id begins with `file.COPY`.
        """
        draft = await self.rewrite(stored.owner, copy_id, self.read(stored))
        return await self.finish(draft, stored.name, stored.purpose)

    async def forget_copy(self, owner: str, copy_id: str) -> None:
        """Delete a copy if it exists."""
        await self.store.delete(owner, copy_id)
        self._forget_runs(copy_id)

    async def get(self, owner: str, file_id: str, prefix: str = file.FILE) -> StoredFile:
        """Return the facts of a file, or raise FileNotFoundHereError."""
        missing = FileNotFoundHereError(f"there is no file {file_id[:64]!r}")
        if not file.is_id(file_id, prefix):
            raise missing
        if file.expires_at(file_id) <= self.clock():
            await self.store.delete(owner, file_id)
            raise missing
        sealed = await self.store.facts(owner, file_id)
        if sealed is None:
            raise missing
        facts = orjson.loads(await self.cipher.decrypt(owner, sealed, _facts_purpose(file_id)))
        return StoredFile(
            file_id,
            owner,
            facts["name"],
            FilePurpose(facts["purpose"]),
            facts["bytes"],
            facts["media_type"],
            facts["sealed_piece"],
            facts["sealed_bytes"],
        )

    async def page(
        self,
        owner: str,
        limit: int,
        *,
        after: str | None = None,
        newest_first: bool = True,
        purpose: FilePurpose | None = None,
    ) -> tuple[Sequence[StoredFile], bool]:
        """Return a page of files ordered by age, and whether there are more.

        ``after`` may be the id of a deleted file. Raises InvalidParameterError if it is not a file
        id.
        """
        ids = sorted(filter(file.is_id, await self.store.sizes(owner)), reverse=newest_first)
        if after is not None:
            if not file.is_id(after):
                raise InvalidParameterError.at("after", "give the id of a file")
            ids = [i for i in ids if (i < after if newest_first else i > after)]
        files: list[StoredFile] = []
        for file_id in ids:
            try:
                stored = await self.get(owner, file_id)
            except FileNotFoundHereError:
                continue
            if purpose in (None, stored.purpose):
                if len(files) == limit:
                    return files, True
                files.append(stored)
        return files, False

    async def delete(self, owner: str, file_id: str) -> None:
        """Delete a file, or raise FileNotFoundHereError."""
        stored = await self.get(owner, file_id)
        await self.store.delete(owner, stored.id)
        self._forget_runs(stored.id)

    def _forget_runs(self, file_id: str) -> None:
        for key in [key for key in self._runs if key[0] == file_id]:
            del self._runs[key]

    async def read(
        self, stored: StoredFile, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a file's bytes from ``start`` up to but not including ``end``.

        Raises FileNotFoundHereError if the file was deleted meanwhile.
        """
        end = stored.bytes if end is None else min(end, stored.bytes)
        if start >= end:
            return
        first, last = start // PIECE, (end - 1) // PIECE
        size = stored.sealed_piece
        # The last piece may be shorter; it ends with the file.
        at_end = (last + 1) * PIECE >= stored.bytes
        sealed_end = stored.sealed_bytes if at_end else (last + 1) * size
        source = self.store.read(stored.owner, stored.id, first * size, sealed_end)
        number, rest = first, b""
        async for chunk in source:
            sealed, begin = rest + chunk if rest else chunk, 0
            while size and len(sealed) - begin >= size and number < last:
                piece = await self._opened(stored, number, sealed[begin : begin + size])
                yield _cut(piece, number * PIECE, start, end)
                begin += size
                number += 1
            rest = sealed[begin:]
        yield _cut(await self._opened(stored, number, rest), number * PIECE, start, end)

    async def read_range(self, stored: StoredFile, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` up to but not including ``end``, reading cached runs.

        Raises FileNotFoundHereError if the file was deleted meanwhile.
        """
        parts = []
        for number in range(start // RUN, (max(end, start + 1) - 1) // RUN + 1):
            key = stored.id, number
            run = self._runs.get(key)
            if run is None:
                # Rows that begin together are in one run, which is read once for all.
                run = await self._reading.run(key, partial(self._run, stored, number))
            parts.append(_cut(run, number * RUN, start, end))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _run(self, stored: StoredFile, number: int) -> bytes:
        begin = number * RUN
        pieces = [piece async for piece in self.read(stored, begin, begin + RUN)]
        run = self._runs[stored.id, number] = b"".join(pieces)
        if len(self._runs) > KEPT_RUNS:
            self._runs.popitem(last=False)
        return run

    async def _opened(self, stored: StoredFile, number: int, sealed: bytes) -> bytes:
        return await self.cipher.decrypt(stored.owner, sealed, _piece_purpose(stored.id, number))

    async def expire(self) -> int:
        """Delete the expired files of all callers and return how many."""
        return await self.store.expire(self.clock())


def _over_quota() -> FileQuotaError:
    return FileQuotaError(
        "your files have reached their limit of bytes; delete some, or have them expire sooner"
    )


def _cut(piece: bytes, begin: int, start: int, end: int) -> bytes:
    """Return the part between ``start`` and ``end`` of a ``piece`` that begins at ``begin``."""
    return piece[max(0, start - begin) : max(0, end - begin)]


def _facts_purpose(file_id: str) -> bytes:
    return f"file:{file_id}:facts".encode()


def _piece_purpose(file_id: str, number: int) -> bytes:
    return f"file:{file_id}:{number}".encode()


@dataclass(slots=True)
class _Sealing:
    """Encrypts arriving bytes in pieces and enforces the limits."""

    cipher: DataCipher
    owner: str
    file_id: str
    most: int | None
    """Maximum size of the file in bytes; None for no limit."""
    left: int | None
    """Bytes left in the caller's quota; None for no limit."""
    size: int = 0
    head: bytes = b""
    sealed_piece: int = 0

    async def sealed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the encrypted pieces, or raise FileTooLargeError or FileQuotaError."""
        waiting = bytearray()
        number = 0
        async for chunk in chunks:
            self._count(chunk)
            waiting += chunk
            while len(waiting) > PIECE:
                yield await self._piece(bytes(waiting[:PIECE]), number)
                del waiting[:PIECE]
                number += 1
        yield await self._piece(bytes(waiting), number)

    def _count(self, chunk: bytes) -> None:
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self.size += len(chunk)
        if self.most is not None and self.size > self.most:
            raise FileTooLargeError.at("file", f"has more than {self.most:,} bytes")
        if self.left is not None and self.size > self.left:
            raise _over_quota()

    async def _piece(self, piece: bytes, number: int) -> bytes:
        sealed = await self.cipher.encrypt(self.owner, piece, _piece_purpose(self.file_id, number))
        if len(piece) == PIECE:
            if self.sealed_piece not in (0, len(sealed)):
                raise FileStoreError("pieces of one size were encrypted to different ones")
            self.sealed_piece = len(sealed)
        return sealed
