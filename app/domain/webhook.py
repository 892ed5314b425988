"""Webhooks: events that are sent to a caller's own server."""

import json
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event, in the form of OpenAI's webhooks."""

    id: str
    type: str
    """``batch.completed``, ``job.failed``, …"""
    subject: str
    """The id of the batch or job."""
    created_at: int
    """Seconds since the epoch."""

    @property
    def body(self) -> bytes:
        """The JSON that is sent, the same bytes at each attempt."""
        return json.dumps(
            {
                "id": self.id,
                "object": "event",
                "type": self.type,
                "created_at": self.created_at,
                "data": {"id": self.subject},
            },
            separators=(",", ":"),
        ).encode()


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """The outcome of one attempt."""

    status: int | None = None
    """The HTTP status; None if there was no answer."""
    fault: str | None = None
    """Why there was no answer."""
    retry_after: float | None = None
    """Seconds after which the receiver asks for the next attempt."""

    @property
    def accepted(self) -> bool:
        """Whether the receiver accepted the event."""
        return self.status is not None and 200 <= self.status < 300


class DeliveryStatus(StrEnum):
    """A delivery's state."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a URL."""

    event: WebhookEvent
    url: str
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    last_status: int | None = None
    """The HTTP status of the last attempt."""
    last_fault: str | None = None
    """Why the last attempt had no answer."""
    next_attempt_at: float = 0
    """Time of the next attempt in seconds since the epoch."""
