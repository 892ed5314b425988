"""API keys in a JSON file, which may change while the service runs."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import structlog

from app.domain import key
from app.domain.key import KeyRecord
from app.services.concurrency.task_scope import running
from app.services.concurrency.threads import Threads

log = structlog.get_logger()


Changed = Callable[[Mapping[str, KeyRecord], Mapping[str, KeyRecord]], None]
"""Receives the keys before and after a change."""


def read(path: Path) -> tuple[KeyRecord, ...]:
    """Return the records in ``path``. Raises OSError, and ValueError that names the file."""
    try:
        return key.parse(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write(path: Path, records: Iterable[KeyRecord]) -> None:
    """Replace ``path`` with ``records`` atomically, readable by its owner alone."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(key.render(records))
    Path(name).replace(path)


@dataclass(slots=True)
class KeyFile:
    """The keys in a file, read again whenever it changes."""

    path: Path
    interval: float
    """Seconds between checks of the file."""
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    threads: Threads = field(default_factory=lambda: Threads("keys"))
    changed: Changed | None = None
    """Called with each change, the first keys included."""
    _seen: tuple[int, int] | None = None
    _fault: str | None = None
    """The reason why the file can't be read, which is logged once."""

    async def reload(self) -> None:
        """Read the file if it changed; keep the previous keys if it can't be read."""
        try:
            await self._reload()
        except (OSError, ValueError) as error:
            if str(error) != self._fault:
                log.warning("keys not reloaded", path=str(self.path), reason=str(error))
            self._fault = str(error)
        else:
            self._fault = None

    async def _reload(self) -> None:
        status = await self.threads.run(self.path.stat)
        seen = status.st_mtime_ns, status.st_ino
        if seen == self._seen:
            return
        records = await self.threads.run(read, self.path)
        self._seen = seen
        before, self.keys = self.keys, MappingProxyType({record.id: record for record in records})
        if self.changed is not None:
            self.changed(before, self.keys)
        # Without keys, all callers are refused until the file has one.
        (log.info if records else log.warning)(
            "keys loaded", path=str(self.path), keys=len(records)
        )

    async def watch(self) -> None:
        """Reload periodically until cancelled."""
        while True:
            await asyncio.sleep(self.interval)
            await self.reload()


@asynccontextmanager
async def open_key_file(
    path: Path, interval: float, changed: Changed | None = None
) -> AsyncIterator[KeyFile]:
    """Open the keys in ``path`` and follow the file's changes. Raises OSError and ValueError."""
    # The first time a bad file stops the start; later ones leave the keys as they were.
    keyring = KeyFile(path, interval, changed=changed)
    await keyring.threads.run(read, path)
    await keyring.reload()
    try:
        async with running(keyring.watch()):
            yield keyring
    finally:
        keyring.threads.close()
