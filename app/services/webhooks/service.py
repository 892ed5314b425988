"""Webhooks: events stay on the queue until they are delivered or given up."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.domain.ports import WebhookSender, WorkQueue
from app.domain.webhook import Delivery, DeliveryStatus, WebhookEvent
from app.domain.work import NewWork, WorkGroup, WorkKind
from app.services.webhooks import signature
from app.services.work.paging import check_after

SHOWN = 7 * 24 * 3600
"""Seconds for which a delivery stays listed after its end."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Checks target URLs, queues events and lists deliveries."""

    queue: WorkQueue
    sender: WebhookSender
    secret: bytes
    """The secret from which callers' signing keys are derived; the same on all replicas."""
    hosts: tuple[str, ...] = ()
    """The allowed target hosts, as the operator wrote them."""
    clock: Callable[[], float] = time.time

    def check(self, url: str | None) -> None:
        """Check that ``url`` is None or an allowed target, or raise a RequestError."""
        if url is not None:
            self.sender.check(url)

    def signing_secret(self, owner: str) -> str:
        """Return the secret (``whsec_…``) with which the caller verifies its webhooks."""
        return signature.spelled(signature.key(self.secret, owner))

    async def announce(self, owner: str, url: str, kind: str, subject: str) -> str:
        """Queue the event ``kind`` of ``subject``, once, and return the event's id."""
        identity = event_id(subject, kind)
        if await self.queue.group(owner, identity) is None:
            now = self.clock()
            event = WebhookEvent(identity, kind, subject, int(now))
            delivery = Delivery(event, url, next_attempt_at=now)
            await self.queue.open(kept(owner, delivery), [NewWork(0, event.body)])
        return identity

    async def deliveries(
        self, owner: str, limit: int, after: str | None = None
    ) -> tuple[Delivery, ...]:
        """Return at most ``limit`` of the caller's deliveries, newest first, after event ``after``.

        Raises InvalidParameterError if there is no such event.
        """
        await check_after(self.queue, owner, after)
        groups = await self.queue.groups(owner, WorkKind.WEBHOOK, limit, after)
        return tuple(read(group) for group in groups)

    async def delivery(self, owner: str, identity: str) -> Delivery | None:
        """Return one delivery, or None if it does not exist or has expired."""
        group = await self.queue.group(owner, identity)
        return None if group is None else read(group)


def event_id(subject: str, kind: str) -> str:
    """Return the event's id, which is the same when the same event is announced again."""
    return f"evt_{hashlib.sha256(f'{subject} {kind}'.encode()).hexdigest()[:32]}"


def kept(owner: str, delivery: Delivery, version: int = 0) -> WorkGroup:
    """Return the group that stores ``delivery``."""
    pending = delivery.status is DeliveryStatus.PENDING
    return WorkGroup(
        delivery.event.id,
        owner,
        WorkKind.WEBHOOK,
        delivery.status,
        delivery.event.created_at,
        orjson.dumps(asdict(delivery)),
        active=pending,
        expires_at=None if pending else delivery.next_attempt_at + SHOWN,
        version=version,
    )


def read(group: WorkGroup) -> Delivery:
    """Return the delivery stored in ``group``."""
    fields: dict[str, Any] = orjson.loads(group.body)
    fields["event"] = WebhookEvent(**fields["event"])
    fields["status"] = DeliveryStatus(fields["status"])
    return Delivery(**fields)
