"""Webhooks: events are kept on the queue until they are delivered or given up."""

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
"""Seconds for which a delivery is shown after its end."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Checks targets, keeps events, shows deliveries."""

    queue: WorkQueue
    sender: WebhookSender
    secret: bytes
    """The secret that callers' keys are derived from; the same on all replicas."""
    hosts: tuple[str, ...] = ()
    """The hosts that may be sent to, as the operator wrote them."""
    clock: Callable[[], float] = time.time

    def check(self, url: str | None) -> None:
        """Check that ``url`` is None or may be sent to, or raise a RequestError."""
        if url is not None:
            self.sender.check(url)

    def signing_secret(self, owner: str) -> str:
        """Return the secret that verifies webhooks to the caller: ``whsec_…``."""
        return signature.spelled(signature.key(self.secret, owner))

    async def announce(self, owner: str, url: str, kind: str, subject: str) -> str:
        """Keep the event that ``subject`` came to ``kind``, once; return the event's id."""
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
        """Return the caller's deliveries, newest first, those behind the event ``after``.

        Raises InvalidParameterError where there is no such event.
        """
        await check_after(self.queue, owner, after)
        groups = await self.queue.groups(owner, WorkKind.WEBHOOK, limit, after)
        return tuple(read(group) for group in groups)

    async def delivery(self, owner: str, identity: str) -> Delivery | None:
        """Return one delivery, None where there is none or it was forgotten."""
        group = await self.queue.group(owner, identity)
        return None if group is None else read(group)


def event_id(subject: str, kind: str) -> str:
    """Return the event's id: the same event, told again, is the same."""
    return f"evt_{hashlib.sha256(f'{subject} {kind}'.encode()).hexdigest()[:32]}"


def kept(owner: str, delivery: Delivery, version: int = 0) -> WorkGroup:
    """Return the group that keeps ``delivery``."""
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
    """Return the delivery that ``group`` keeps."""
    fields: dict[str, Any] = orjson.loads(group.body)
    fields["event"] = WebhookEvent(**fields["event"])
    fields["status"] = DeliveryStatus(fields["status"])
    return Delivery(**fields)
