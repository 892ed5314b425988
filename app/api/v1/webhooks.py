"""GET /v1/webhooks: the secret of webhooks, and their deliveries."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.domain.webhook import Delivery, DeliveryStatus
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1", tags=["jobs"])


class DeliveryOut(DeferredModel):
    """The delivery of one event to a caller's server."""

    id: Annotated[str, Field(description="The event's id, as in its header `webhook-id`.")]
    type: Annotated[
        str, Field(description="The event's type, such as `batch.completed` or `job.failed`.")
    ]
    subject: Annotated[str, Field(description="Id of the batch or job.")]
    url: str
    created_at: Annotated[int, Field(description="Time of creation, seconds since the epoch.")]
    status: DeliveryStatus
    attempts: int
    last_status: Annotated[
        int | None,
        Field(description="HTTP status of the last attempt; null if there was no answer."),
    ]
    last_fault: Annotated[
        str | None, Field(description="Why the last attempt had no answer; otherwise null.")
    ]
    next_attempt_at: Annotated[
        int | None,
        Field(
            description="Time of the next attempt, in seconds since the epoch; "
            "null if there is none."
        ),
    ]

    @classmethod
    def from_domain(cls, delivery: Delivery) -> "DeliveryOut":
        """Render ``delivery``."""
        event = delivery.event
        pending = delivery.status is DeliveryStatus.PENDING
        return cls(
            id=event.id,
            type=event.type,
            subject=event.subject,
            url=delivery.url,
            created_at=event.created_at,
            status=delivery.status,
            attempts=delivery.attempts,
            last_status=delivery.last_status,
            last_fault=delivery.last_fault,
            next_attempt_at=int(delivery.next_attempt_at) if pending else None,
        )


class WebhooksOut(DeferredModel):
    """The caller's webhooks."""

    hosts: Annotated[
        list[str], Field(description="Hosts that the operator allows; empty if webhooks are off.")
    ]
    secret: Annotated[
        str | None,
        Field(
            description=(
                "Secret that verifies signatures, by the Standard Webhooks scheme; "
                "null if webhooks are off."
            )
        ),
    ]
    data: Annotated[list[DeliveryOut], Field(description="Deliveries, newest first.")]
    has_more: Annotated[bool, Field(description="Whether there are older deliveries.")]


class Page(BaseModel):
    """A page of deliveries."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str | None, Field(description="Id of the event before the first one.")] = None


@router.get(
    "/webhooks",
    operation_id="webhooks",
    summary="Show the caller's webhooks",
    description=(
        "Shows the secret with which receivers verify signatures, and the deliveries: "
        "completed, waiting for another attempt, or given up after a day. docs/jobs.md "
        "explains how to request and verify webhooks."
    ),
    response_description="The secret and the deliveries.",
    responses=problem.responses(
        errors.InvalidParameterError, errors.InternalError, errors.WorkQueueError
    ),
)
async def webhooks(context: Context, page: Annotated[Page, Query()]) -> WebhooksOut:
    service, owner = context.services.webhooks, context.call.caller.id
    deliveries = await service.deliveries(owner, page.limit + 1, page.after)
    return WebhooksOut(
        hosts=list(service.hosts),
        secret=service.signing_secret(owner) if service.hosts else None,
        data=[DeliveryOut.from_domain(delivery) for delivery in deliveries[: page.limit]],
        has_more=len(deliveries) > page.limit,
    )
