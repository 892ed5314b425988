"""Signatures of webhooks, verified as their receivers verify them."""

import time
from typing import Any

import pytest
from openai import AsyncOpenAI, InvalidWebhookSignatureError, OpenAI

from app.domain.webhook import WebhookEvent
from app.services.webhooks import signature

SECRET = b"a secret of the operator's"
EVENT = WebhookEvent("evt_1", "batch.completed", "batch_1", 1_700_000_000)


def signed(owner: str = "ann", event: WebhookEvent = EVENT, when: int = 0) -> dict[str, str]:
    return signature.headers(signature.key(SECRET, owner), event, when or int(time.time()))


def secret(owner: str = "ann") -> str:
    return signature.spelled(signature.key(SECRET, owner))


@pytest.mark.parametrize("kind", ["batch.completed", "batch.failed", "batch.expired"])
def test_the_openai_sdk_verifies_a_batchs_event(kind: str) -> None:
    event = WebhookEvent("evt_1", kind, "batch_1", 1_700_000_000)
    client = OpenAI(api_key="none", webhook_secret=secret())

    told: Any = client.webhooks.unwrap(event.body, signed(event=event))

    assert (told.id, told.type, told.created_at) == ("evt_1", kind, 1_700_000_000)
    assert told.data.id == "batch_1"


async def test_the_async_sdk_verifies_a_jobs_event() -> None:
    event = WebhookEvent("evt_2", "job.completed", "job_1", 1_700_000_000)
    async with AsyncOpenAI(api_key="none") as client:
        told: Any = client.webhooks.unwrap(event.body, signed(event=event), secret=secret())

    assert (told.type, told.data.id) == ("job.completed", "job_1")


@pytest.mark.parametrize(
    "refused",
    [
        {"secret": secret("bob")},
        {"payload": EVENT.body.replace(b"batch_1", b"batch_2")},
        {"headers": signed(when=int(time.time()) - 3600)},
        {"headers": {**signed(), "webhook-id": "evt_2"}},
    ],
)
def test_an_event_not_signed_for_the_receiver_is_rejected(refused) -> None:
    arguments: Any = {"payload": EVENT.body, "headers": signed(), "secret": secret()} | refused
    client = OpenAI(api_key="none")
    with pytest.raises((InvalidWebhookSignatureError, ValueError)):
        client.webhooks.unwrap(**arguments)
