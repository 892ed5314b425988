"""The audit log in files: records by day, a line each, and the Merkle tree beside them.

``00000000000000000042-2026-11-27.jsonl`` has the records of a day from number 42 on. ``ends`` has
the place where each record's line ends, 8 bytes each, and ``level-00``, ``level-01`` … the complete
nodes of each level, 32 bytes each. The lines are on the disk before the tree is written: after a
crash the tree is made of them again, and half a line, which nobody was promised, is cut off.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from app.domain.errors import AuditUnavailableError
from app.domain.merkle import Node, appended, cover, leaf_hash
from app.services.concurrency.threads import Threads

T = TypeVar("T")
_HASH, _END = 32, 8


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class AuditFiles:
    """An AuditStore in a folder, which the workers of one machine share."""

    folder: Path
    today: Callable[[], date] = today
    threads: Threads = field(default_factory=lambda: Threads("audit"))

    async def append(self, records: Sequence[bytes]) -> int:
        """Add ``records``, flushed to disk, and return how many there are."""
        return await self._run(lambda: self._append(records))

    async def size(self) -> int:
        """Return how many records there are."""
        return await self._run(self._checked_size)

    async def nodes(self, wanted: Sequence[Node]) -> list[bytes]:
        """Return complete nodes' hashes."""
        return await self._run(lambda: [self._node(node) for node in wanted])

    async def record(self, index: int) -> bytes | None:
        """Return a record; None if it is too old to be kept."""
        return await self._run(lambda: self._record(index))

    async def forget(self, before: date) -> int:
        """Delete the records of the days before ``before``; their hashes stay."""
        return await self._run(lambda: self._forget(before))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self.threads.run(work)
        except (OSError, ValueError, KeyError) as error:
            raise AuditUnavailableError(
                f"the audit files can't be used: {type(error).__name__}"
            ) from error

    def _append(self, records: Sequence[bytes]) -> int:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            size = self._recovered()
            path = self._day_file(size)
            lines = b"".join(record + b"\n" for record in records)
            with path.open("ab") as file:
                end = file.tell()
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            ends = []
            for record in records:
                end += len(record) + 1
                ends.append(end)
            self._grow(size, [leaf_hash(record) for record in records], ends)
            return size + len(records)

    def _grow(self, size: int, leaves: Sequence[bytes], ends: Sequence[int]) -> None:
        edge = {node: self._node(node) for node in cover((0, size))}
        by_level: dict[int, list[bytes]] = {}
        for (level, _), digest in appended(size, edge, leaves).items():
            by_level.setdefault(level, []).append(digest)
        for level, hashes in by_level.items():
            self._add(self._level(level), b"".join(hashes))
        self._add(self.folder / "ends", b"".join(end.to_bytes(_END, "big") for end in ends))

    def _add(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    def _day_file(self, size: int) -> Path:
        """Return the file of today's records, of which the next is number ``size``."""
        files = self._files()
        suffix = f"-{self.today().isoformat()}.jsonl"
        if files and files[-1].name.endswith(suffix):
            return files[-1]
        return self.folder / f"{size:020d}{suffix}"

    def _files(self) -> list[Path]:
        with suppress(FileNotFoundError):
            # Not glob, which takes ten times as long; each batch of records asks a few times.
            return sorted(path for path in self.folder.iterdir() if path.suffix == ".jsonl")
        return []

    def _recovered(self) -> int:
        """Bring the tree in line with the files, and return the number of records."""
        size = self._checked_size()
        if self._agrees(size):
            return size
        self._cut(size)
        return self._reread(size)

    def _checked_size(self) -> int:
        """Return the number of records that are certainly in the tree."""
        return min(_length(self.folder / "ends") // _END, _length(self._level(0)) // _HASH)

    def _agrees(self, size: int) -> bool:
        levels = range(max(size.bit_length(), 1))
        whole = all(_length(self._level(level)) == (size >> level) * _HASH for level in levels)
        files = self._files()
        if not whole or _length(self.folder / "ends") != size * _END:
            return False
        if not files or int(files[-1].name[:20]) >= size:
            return not files or not _length(files[-1])
        return _length(files[-1]) == self._end(size - 1)

    def _cut(self, size: int) -> None:
        """Remove incomplete data: the tree's last nodes may belong to incomplete records."""
        safe = size
        for level in range(64):
            path = self._level(level)
            safe = min(safe, ((_length(path) // _HASH + 1) << level) - 1)
            if not path.exists():
                break
        size = max(0, safe)
        for level in range(64):
            path = self._level(level)
            if not path.exists():
                break
            os.truncate(path, (size >> level) * _HASH)
        if (self.folder / "ends").exists():
            os.truncate(self.folder / "ends", size * _END)

    def _reread(self, size: int) -> int:
        """Add the records that the files have and the tree lacks."""
        size = self._checked_size()
        for path in self._files():
            first = int(path.name[:20])
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(path, len(whole))
            lines = whole.splitlines()
            if first + len(lines) <= size:
                continue
            if first > size:
                raise ValueError(f"the records before {path.name} and their hashes are missing")
            skipped, end, ends = size - first, 0, []
            for line in lines:
                end += len(line) + 1
                ends.append(end)
            self._grow(size, [leaf_hash(line) for line in lines[skipped:]], ends[skipped:])
            size = first + len(lines)
        return size

    def _record(self, index: int) -> bytes | None:
        if not 0 <= index < self._checked_size():
            return None
        path = next((p for p in reversed(self._files()) if int(p.name[:20]) <= index), None)
        if path is None:
            return None
        start = 0 if int(path.name[:20]) == index else self._end(index - 1)
        with path.open("rb") as file:
            file.seek(start)
            line = file.read(self._end(index) - start)
        if line[-1:] != b"\n":
            raise ValueError(f"the line of record {index} has not the length that was stored")
        return line[:-1]

    def _end(self, index: int) -> int:
        return int.from_bytes(_piece(self.folder / "ends", index, _END), "big")

    def _node(self, node: Node) -> bytes:
        level, index = node
        return _piece(self._level(level), index, _HASH)

    def _level(self, level: int) -> Path:
        return self.folder / f"level-{level:02d}"

    def _forget(self, before: date) -> int:
        with self._locked():
            # The last file stays, since its name says where the records continue.
            old = [p for p in self._files()[:-1] if p.stem[21:] < before.isoformat()]
            for path in old:
                path.unlink()
            return len(old)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _length(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _piece(path: Path, index: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(index * size)
        data = file.read(size)
    if len(data) != size:
        raise ValueError(f"{path.name} has no entry {index}")
    return data
