"""Webhooks over HTTP, to allowed hosts at public addresses."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from app import __version__
from app.adapters.retry_after import retry_after
from app.adapters.sources import rules
from app.adapters.sources.pinned_transport import PinnedTransport
from app.domain.errors import (
    ImageAddressForbiddenError,
    ImageUrlNotAllowedError,
    WebhookUrlNotAllowedError,
)
from app.domain.webhook import WebhookReply

MOST_URL = 2_000
"""Characters of a URL."""


@dataclass(frozen=True, slots=True)
class HttpWebhookSender:
    """Posts events, and reads only the status of an answer."""

    pinned: PinnedTransport
    timeout: float
    """Maximum seconds of one attempt."""

    def check(self, url: str) -> None:
        """Check that ``url`` may be sent to, or raise WebhookUrlNotAllowedError."""
        if len(url) > MOST_URL:
            raise WebhookUrlNotAllowedError(f"the webhook's URL has over {MOST_URL:,} characters")
        try:
            self.pinned.rules.check(rules.parse(url))
        except ImageUrlNotAllowedError as error:
            raise WebhookUrlNotAllowedError(f"the webhook's URL: {error.detail}") from error

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookReply:
        """Make one attempt, and return its outcome; nothing is raised."""
        named = {"User-Agent": f"llama-vision/{__version__}", **headers}
        try:
            async with (
                asyncio.timeout(self.timeout),
                self.pinned.send("POST", rules.parse(url), named, body) as answer,
            ):
                wait = retry_after(answer.headers.get("retry-after"))
                return WebhookReply(answer.status_code, retry_after=wait)
        except (ImageUrlNotAllowedError, ImageAddressForbiddenError) as error:
            return WebhookReply(fault=error.detail)
        except (httpx.TimeoutException, TimeoutError):
            return WebhookReply(fault=f"no answer within {self.timeout:g} seconds")
        except (httpx.HTTPError, OSError, UnicodeError):
            return WebhookReply(fault="the host can't be reached, or closed the connection")
