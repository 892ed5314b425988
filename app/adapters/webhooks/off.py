"""Webhooks of a service whose operator has not switched them on."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.errors import WebhooksDisabledError
from app.domain.webhook import WebhookReply


@dataclass(frozen=True, slots=True)
class DisabledWebhooks:
    """Refuses every target, and names the setting that switches webhooks on."""

    setting: str

    def check(self, url: str) -> None:  # noqa: ARG002 - the port's
        """Raise WebhooksDisabledError."""
        raise WebhooksDisabledError(
            f"webhooks are switched off here; the operator can allow them with {self.setting}"
        )

    async def post(
        self,
        url: str,  # noqa: ARG002 - the port's
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> WebhookReply:
        """Report that nothing is sent, as webhooks were switched off after the event was queued."""
        return WebhookReply(fault="webhooks are switched off")
