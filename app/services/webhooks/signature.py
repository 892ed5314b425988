"""Signatures by the Standard Webhooks scheme.

Source: the Standard Webhooks specification, version 1. The signature is an HMAC-SHA256 over the id,
the time and the body, joined by dots. ``client.webhooks.unwrap`` of the openai SDK verifies it.
"""

import hmac
from base64 import b64encode

from app.domain.webhook import WebhookEvent

PREFIX = "whsec_"


def key(secret: bytes, owner: str) -> bytes:
    """Return the caller's own 32-byte signing key, so that no caller can sign for another."""
    return hmac.digest(secret, b"webhooks:" + owner.encode(), "sha256")


def spelled(signing_key: bytes) -> str:
    """Return a signing key in the form that receivers configure: ``whsec_`` and base64."""
    return PREFIX + b64encode(signing_key).decode()


def headers(signing_key: bytes, event: WebhookEvent, now: int) -> dict[str, str]:
    """Return the headers of a delivery at ``now``, in seconds since the epoch."""
    signed = b"%b.%d.%b" % (event.id.encode(), now, event.body)
    signature = b64encode(hmac.digest(signing_key, signed, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{signature}",
    }
