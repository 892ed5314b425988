"""The FastAPI application, whose requests go through the pipeline."""

import sys

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()


class Application(FastAPI):
    """A FastAPI application whose requests go through ``front`` instead of its middleware."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the lifespan."""
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, _without_traceback(send))

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request without an operation, as FastAPI itself does."""
        await super().__call__(scope, receive, send)


def _without_traceback(send: Send) -> Send:
    """Return a ``send`` that logs a failed start in our format instead of the framework's.

    The framework sends a traceback with every exception's message, which may quote a password.
    """

    async def send_without(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            log.error("the service can't start", exc_info=sys.exception())
            message = {"type": message["type"]}
        await send(message)

    return send_without
