"""Opens the sender of webhooks."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.adapters.http1.resolver import open_resolver
from app.adapters.sources import http
from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.pinned_transport import PinnedTransport
from app.adapters.sources.rules import UrlRules
from app.adapters.webhooks.http import HttpWebhookSender
from app.adapters.webhooks.off import DisabledWebhooks
from app.domain.ports import WebhookSender, WorkQueue
from app.services.webhooks.service import Webhooks
from app.settings import PREFIX, Settings


@asynccontextmanager
async def open_webhook_sender(
    settings: Settings, addresses: AddressPolicy | None = None
) -> AsyncIterator[WebhookSender]:
    """Open the sender of webhooks; without ``addresses`` it sends to public addresses only."""
    if settings.webhook_hosts is None:
        yield DisabledWebhooks(f"{PREFIX}WEBHOOK_HOSTS")
        return
    async with AsyncExitStack() as stack:
        pinned = PinnedTransport(
            transport=await stack.enter_async_context(http.open_transport()),
            rules=UrlRules(settings.webhook_hosts, settings.webhook_allow_http, "send webhooks to"),
            timeout=settings.webhook_timeout,
            addresses=addresses or AddressPolicy(),
            resolve=http.resolving(await stack.enter_async_context(open_resolver())),
        )
        yield HttpWebhookSender(pinned, settings.webhook_timeout)


def webhooks(queue: WorkQueue, sender: WebhookSender, settings: Settings) -> Webhooks:
    """Return the service that queues, lists and signs webhooks."""
    secret = settings.webhook_secret
    # Without a secret nothing is ever sent.
    key = secret.get_secret_value().encode() if secret else secrets.token_bytes()
    return Webhooks(queue, sender, key, settings.webhook_hosts or ())
