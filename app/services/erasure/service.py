"""Erases a caller's data in each store, and its key, so that encrypted copies become unreadable."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import structlog

from app.domain.errors import ServiceError
from app.domain.ports import AnswerStore, DataCipher, FileStore, WorkQueue
from app.domain.work import WorkKind
from app.services.audit.log import AuditLog
from app.services.receipts.canonical import canonical
from app.services.receipts.issuer import ERASURE_TYPE, Receipts, signed

log = structlog.get_logger()

PAGE = 100

Holder = Callable[[str], Awaitable[int]]
"""Deletes an owner's data in one store, and returns how many items there were."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The outcome of an erasure."""

    caller: str
    """SHA-256 of the caller's id."""
    key_dropped: bool
    """Whether there was a key, without which nothing encrypted can be read."""
    deleted: Mapping[str, int]
    """Deleted items by the store's name."""
    left: tuple[str, ...]
    """Stores that could not be reached; their data remains, but is unreadable if encrypted."""
    at: datetime
    receipt: str | None
    """A JWS over all of this; None if no key is configured."""


@dataclass(frozen=True, slots=True)
class ErasureService:
    """Deletes data in each store, and the caller's key."""

    cipher: DataCipher
    holders: Mapping[str, Holder]
    receipts: Receipts
    audit: AuditLog | None = None

    async def erase(self, caller: str) -> Erasure:
        """Erase all data of ``caller``, or raise DataKeyError and erase nothing.

        A second call erases the rest, and data that came since.
        """
        # Before the key goes, so that nobody comes upon unreadable data; and after it, for data
        # that came meanwhile.
        deleted, _ = await self._delete(caller)
        dropped = await self.cipher.erase(caller)
        more, left = await self._delete(caller)
        deleted = {name: deleted.get(name, 0) + count for name, count in more.items()}
        digest = sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()
        at = datetime.now(UTC)
        facts = {
            "caller_sha256": digest,
            "key_dropped": dropped,
            "deleted": deleted,
            "left": left,
            "at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        if self.audit is not None:
            self.audit.note("erasure", facts)
        receipt = (
            signed(self.receipts.signer, canonical(facts), ERASURE_TYPE)
            if self.receipts.enabled
            else None
        )
        return Erasure(digest, dropped, deleted, tuple(left), at, receipt)

    async def _delete(self, caller: str) -> tuple[dict[str, int], list[str]]:
        """Return the items deleted by each store, and the stores that could not be reached."""
        deleted: dict[str, int] = {}
        left: list[str] = []
        for name, delete in self.holders.items():
            try:
                deleted[name] = await delete(caller)
            except ServiceError as error:
                log.error("not erased", store=name, reason=error.code)
                left.append(name)
        return deleted, left


def answers_of(store: AnswerStore) -> Holder:
    """Return the eraser of kept answers."""
    return lambda owner: store.purge(owner, None)


def files_of(store: FileStore) -> Holder:
    """Return the eraser of files and parts of uploads."""

    async def delete(owner: str) -> int:
        names = list(await store.sizes(owner))
        return sum([await store.delete(owner, name) for name in names])

    return delete


def work_of(queue: WorkQueue) -> Holder:
    """Return the eraser of batches, jobs and webhooks; it cancels those in progress."""

    async def delete(owner: str) -> int:
        count = 0
        for kind in WorkKind:
            while groups := await queue.groups(owner, kind, PAGE):
                for group in groups:
                    await queue.cancel(owner, group.id, leased=True)
                    await queue.forget(owner, group.id)
                count += len(groups)
        return count

    return delete
