"""Pure ASGI middleware: adds receipts to answers.

An answer in one piece has its receipt in the header ``Receipt``. A stream of server-sent events has
it in a comment after its last event, which readers of such streams ignore.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.routing import preferences
from app.api.routing.context import RequestContext, request_context
from app.services.receipts.issuer import BodyDigests

log = structlog.get_logger()

HEADER = b"receipt"
APPLIED = (b"preference-applied", b"receipt")
_STREAM = b"text/event-stream"


@dataclass(frozen=True, slots=True)
class ReceiptMiddleware:
    """Digests the body and the answer of requests that want a receipt; others pass unchanged."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = request_context(scope)
        receipts = context.services.receipts
        header = context.headers.get(b"prefer")
        named = () if header is None else preferences.parsed(header.decode("latin-1"))
        if not receipts.wanted(named):
            await self.app(scope, receive, send)
            return
        context.digest = sha256()
        await self.app(scope, receive, _Sender(context, send, scope))


@dataclass(slots=True)
class _Sender:
    context: RequestContext
    send: Send
    scope: Scope
    start: Message | None = None
    """The start of an answer in one piece, held back because the header covers the body."""
    digest: Any = field(default_factory=sha256)
    size: int = 0
    media_type: bytes = b""
    streams: bool = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        body = message.get("body", b"")
        self.digest.update(body)
        self.size += len(body)
        more = message.get("more_body", False)
        if self.start is not None:
            if not more:
                self._seal(self.start)
            await self.send(self.start)
            self.start = None
        elif self.streams and not more:
            message = {**message, "body": body + self._comment()}
        await self.send(message)

    async def _begin(self, message: Message) -> None:
        headers = dict(message.get("headers", ()))
        self.media_type = headers.get(b"content-type", b"").partition(b";")[0]
        self.streams = self.media_type == _STREAM
        if message["status"] == 200 and not self.streams:
            self.start = message
            return
        if self.streams:
            message = {**message, "headers": [*message.get("headers", ()), APPLIED]}
        await self.send(message)

    def _seal(self, start: Message) -> None:
        receipt = self._receipt()
        if receipt is not None:
            added = [(HEADER, receipt.encode()), APPLIED]
            start["headers"] = [*start.get("headers", ()), *added]

    def _comment(self) -> bytes:
        receipt = self._receipt()
        return b"" if receipt is None else b": receipt " + receipt.encode() + b"\n\n"

    def _receipt(self) -> str | None:
        context, record = self.context, self.context.record
        assert context.digest is not None
        record.route = record.route or getattr(self.scope.get("route"), "path", None)
        exchanged = BodyDigests(
            context.digest.hexdigest(),
            context.digested,
            self.digest.hexdigest(),
            self.size,
            self.media_type.decode("latin-1"),
        )
        try:
            return context.services.receipts.issue(record, exchanged)
        except Exception:
            # The answer is paid for, so it is sent without a receipt.
            log.exception("receipt not issued", request_id=context.id)
            return None
