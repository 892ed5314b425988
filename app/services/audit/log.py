"""Writes the audit log after the answers, in batches, and signs its heads."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

import structlog

from app.domain.errors import AuditUnavailableError, DataKeyError
from app.domain.merkle import Node, Range, consistency_ranges, cover, fold, inclusion_ranges
from app.domain.ports import DataCipher
from app.services.receipts.canonical import canonical
from app.services.receipts.instant import instant
from app.services.receipts.issuer import HEAD_TYPE, Signer, signed
from app.telemetry.metrics import AUDIT_FAILURES, Metrics
from app.telemetry.record import RequestRecord

log = structlog.get_logger()

MOST = 10_000
"""Maximum records that wait in memory; further ones are dropped, and counted in the next record."""
BATCH = 500
BEAT = 0.2
"""Seconds in which records are collected into a batch."""
PAUSE = 2
"""Seconds after a failure."""
PUBLIC = ("/healthz", "/readyz", "/metrics", "/.well-known/jwks.json")
"""Routes whose requests are not audited."""


class AuditStore(Protocol):
    """Keeps records and their tree. Every method raises AuditUnavailableError."""

    async def append(self, records: Sequence[bytes]) -> int:
        """Add ``records``, all or none, and return how many there are."""
        ...

    async def size(self) -> int:
        """Return how many records there are."""
        ...

    async def nodes(self, wanted: Sequence[Node]) -> list[bytes]:
        """Return complete nodes' hashes."""
        ...

    async def record(self, index: int) -> bytes | None:
        """Return a record; None if there is none or it is no longer kept."""
        ...

    async def forget(self, before: date) -> int:
        """Delete the records of the days before ``before``, and return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The state of the log at a time."""

    size: int
    root: bytes
    signature: str | None
    """A JWS over size, root and time; None if no key is configured."""


Publish = Callable[[Head], Awaitable[None]]
"""Publishes a head where the service's operator can't withdraw it."""


@dataclass(slots=True)
class AuditLog:
    """Takes records without waiting, and writes them in order."""

    store: AuditStore
    cipher: DataCipher
    metrics: Metrics
    signer: Signer | None = None
    refuses: bool = False
    """Whether calls are refused while the log can't be written."""
    head_interval: float = 60
    retention: timedelta | None = None
    publish: Sequence[Publish] = ()
    failing: bool = False
    _waiting: deque[dict[str, Any]] = field(default_factory=deque)
    _dropped: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _batch: list[bytes] = field(default_factory=list)
    """The batch whose write failed; it is written again byte for byte."""
    _head: Head | None = None

    def __call__(self, record: RequestRecord) -> None:
        """Note a finished request; a sink of `app.telemetry`."""
        if record.route in PUBLIC:
            return
        trail = record.trail
        if trail is not None:
            trail.settle()
        self._put(
            {
                "kind": "call",
                "request_id": record.request_id,
                "caller": record.caller,
                "method": record.method,
                "route": record.route,
                "status": record.status,
                "code": record.code,
                "task": record.task,
                "attempts": record.attempts,
                "duration_ms": round(record.duration_ms),
                "images": [] if trail is None else trail.images,
                "calls": [] if trail is None else trail.calls,
                "guardrails": [] if trail is None else trail.verdicts,
                "shared": trail is not None and trail.shared,
            }
        )

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Note a change of access or configuration."""
        self._put({"kind": kind, **facts})

    def _put(self, facts: dict[str, Any]) -> None:
        if len(self._waiting) >= MOST:
            self._dropped += 1
            return
        facts["time"] = instant(time.time())
        self._waiting.append(facts)
        self._more.set()

    def check(self) -> None:
        """Raise AuditUnavailableError while the log can't be written, if calls are refused then."""
        if self.refuses and (self.failing or len(self._waiting) >= MOST):
            raise AuditUnavailableError(
                "the audit log can't be written, and meanwhile this service refuses calls"
            )

    async def run(self) -> None:
        """Write records until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self.head_interval):
                    await self._more.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(BEAT)
            await self.flush()
            if self.failing:
                await asyncio.sleep(PAUSE)

    async def flush(self) -> None:
        """Write the waiting records; if that fails they stay, and `failing` is set."""
        try:
            while self._waiting or self._batch:
                if not self._batch:
                    await self._take()
                await self._append()
                # Not after the loop: refused calls are records too, and may keep it busy.
                self.failing = False
            self._more.clear()
        except (AuditUnavailableError, DataKeyError) as error:
            self.failing = True
            self.metrics.count(AUDIT_FAILURES)
            log.error("audit records not written", reason=error.detail, waiting=len(self._waiting))

    async def _append(self) -> None:
        """Write the batch; where this is cancelled meanwhile, to its end."""
        writing = asyncio.ensure_future(self.store.append(self._batch))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The store goes on: records that are written again would be in the log twice.
            (result,) = await asyncio.gather(writing, return_exceptions=True)
            if not isinstance(result, BaseException):
                self._batch = []
            raise
        self._batch = []

    async def _take(self) -> None:
        """Move a batch out of the waiting records."""
        taken = list(islice(self._waiting, BATCH))
        batch = [
            canonical(await self._sealed(facts), checked=facts["kind"] != "call") for facts in taken
        ]
        for _ in taken:
            self._waiting.popleft()
        if self._dropped:
            batch.append(canonical({"kind": "dropped", "records": self._dropped}))
            self._dropped = 0
        self._batch = batch

    async def _sealed(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return ``facts`` with its caller encrypted, so that erasing one breaks no chain."""
        caller = facts.get("caller")
        if not isinstance(caller, str):
            return facts
        name = caller.encode("utf-8", "surrogatepass")
        sealed = await self.cipher.encrypt(caller, name, b"audit")
        if sealed == name:
            return {**facts, "caller": name.decode("utf-8", "replace")}
        return {**facts, "caller": None, "caller_sealed": sealed.hex()}

    async def head(self) -> Head:
        """Return the log as it is now, signed."""
        size = await self.store.size()
        if self._head is not None and self._head.size == size:
            return self._head
        self._head = await self.head_at(size)
        return self._head

    async def head_at(self, size: int) -> Head:
        """Return the log as it was when it had ``size`` records."""
        root = fold(await self.store.nodes(cover((0, size))))
        if self.signer is None:
            return Head(size, root, None)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        statement = canonical({"size": size, "root": root.hex(), "time": now})
        return Head(size, root, signed(self.signer, statement, HEAD_TYPE))

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that record ``index`` is in the tree of ``size``."""
        return [await self._range(leaves) for leaves in inclusion_ranges(index, size)]

    async def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of ``old`` records begins that of ``size``."""
        return [await self._range(leaves) for leaves in consistency_ranges(old, size)]

    async def _range(self, leaves: Range) -> bytes:
        return fold(await self.store.nodes(cover(leaves)))

    async def tend(self) -> None:
        """Publish heads and delete old records periodically until cancelled."""
        published = -1
        while True:
            await asyncio.sleep(self.head_interval)
            try:
                head = await self.head()
                if head.size != published and head.size:
                    for publish in self.publish:
                        await publish(head)
                    published = head.size
                if self.retention is not None:
                    await self.store.forget((datetime.now(UTC) - self.retention).date())
            except Exception as error:  # noqa: BLE001 - whatever S3's client raises; the next counts
                self.metrics.count(AUDIT_FAILURES)
                log.error("audit head not published", reason=type(error).__name__)


async def logged(head: Head) -> None:
    """Publish a head as a log line, which leaves the machine where logs do."""
    log.info("audit head", size=head.size, root=head.root.hex(), signature=head.signature)
