"""Delivers events: signs each attempt, backs off after failures, and gives up after a day."""

import random
import time
from asyncio import TaskGroup
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import structlog

from app.domain.webhook import Delivery, DeliveryStatus, WebhookReply
from app.domain.work import Finished, Leased, Postponed, WorkKind
from app.services.webhooks import service, signature
from app.services.webhooks.service import Webhooks

CONCURRENCY = 8
"""Maximum concurrent deliveries in one process."""
FIRST_WAIT = 5.0
"""Seconds to wait after the first failure; tripled after each further one."""
LONGEST_WAIT = 4 * 3600.0
GIVE_UP_AFTER = 24 * 3600.0
"""Seconds after the event from which no further attempt is made."""
SWEEP = 30.0
"""Seconds between two deletions of expired deliveries."""
_JITTER = 0.2
_GONE = 410

log = structlog.get_logger()


@dataclass(slots=True)
class WebhookHandler:
    """A `WorkHandler` for webhook events."""

    webhooks: Webhooks
    count: Callable[[str], None] = lambda _: None
    """Called with the delivery's status after each attempt."""
    kind: WorkKind = WorkKind.WEBHOOK
    interruptible: bool = False
    _swept: float = field(default=float("-inf"))

    def room(self, running: int) -> int:
        """Return how many more deliveries may begin."""
        return CONCURRENCY - running

    def gap(self) -> float:
        """Return 0, since deliveries may begin together."""
        return 0

    def resting(self) -> Collection[str]:
        """Return no callers, since deliveries use no limited resource of a caller."""
        return ()

    async def handle(self, work: Leased) -> Finished | Postponed:
        """Attempt the delivery if it is due."""
        queue, now = self.webhooks.queue, self.webhooks.clock()
        group = await queue.group(work.owner, work.group)
        if group is None:
            return Finished(work, succeeded=False, result=b"")
        delivery = service.read(group)
        # A clock that was set back must not delay an event by more than the longest wait.
        left = delivery.next_attempt_at - now
        if 0 < left <= LONGEST_WAIT:
            return Postponed(work, left, counted=False)
        key = signature.key(self.webhooks.secret, work.owner)
        headers = signature.headers(key, delivery.event, int(now))
        reply = await self.webhooks.sender.post(delivery.url, headers, delivery.event.body)
        after = attempted(delivery, reply, self.webhooks.clock())
        self.count(after.status)
        await queue.change(service.kept(work.owner, after, group.version))
        if after.status is DeliveryStatus.PENDING:
            return Postponed(work, after.next_attempt_at - now, counted=False)
        if after.status is DeliveryStatus.GIVEN_UP:
            log.warning(
                "a webhook was given up",
                event_id=after.event.id,
                attempts=after.attempts,
                status=after.last_status,
            )
        return Finished(work, after.status is DeliveryStatus.DELIVERED, b"")

    def exhausted(self, work: Leased) -> Finished:
        """Return a failed result for an event that used up its attempts."""
        return Finished(work, succeeded=False, result=b"")

    async def tend(self, steps: TaskGroup) -> None:  # noqa: ARG002 - the protocol's
        """Delete expired groups, deliveries among them, from time to time."""
        if time.monotonic() - self._swept > SWEEP:
            self._swept = time.monotonic()
            await self.webhooks.queue.expire()


def attempted(delivery: Delivery, reply: WebhookReply, now: float) -> Delivery:
    """Return ``delivery`` updated after an attempt that ended with ``reply`` at ``now``."""
    after = replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_status=reply.status,
        last_fault=reply.fault,
        next_attempt_at=now,
    )
    if reply.accepted:
        return replace(after, status=DeliveryStatus.DELIVERED)
    due = now + wait(after.attempts, reply.retry_after)
    if reply.status == _GONE or due > delivery.event.created_at + GIVE_UP_AFTER:
        return replace(after, status=DeliveryStatus.GIVEN_UP)
    return replace(after, next_attempt_at=due)


def wait(attempts: int, requested: float | None = None) -> float:
    """Return the seconds before the next attempt; the receiver may ask for a longer wait."""
    grown = FIRST_WAIT * 3.0 ** min(attempts - 1, 16)
    jittered = grown * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    return min(LONGEST_WAIT, max(jittered, requested or 0))
