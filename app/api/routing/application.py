"""FastAPI, behind our own middlewares rather than around them.

What it wraps every request in (its answer to faults, its telemetry) does again what ours do.
"""

import sys
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RAISED = "raised"

log = structlog.get_logger()


class Application(FastAPI):
    """Has requests pass our own middlewares before the framework's, which catch what ours do."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the lifespan."""
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await self.framework(scope, receive, _without_traceback(send))

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle what the front lets through, or raise whatever its routes raise."""
        await super().__call__(scope, receive, send)
        if scope["type"] == "http" and (raised := scope["state"].pop(_RAISED, None)):
            raise raised


def _without_traceback(send: Send) -> Send:
    """Return a ``send`` that logs why a start failed as we do, and not as the framework has it.

    It sends a traceback with every exception's message, which may quote a URL with its password.
    """

    async def send_without(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            log.error("the service can't start", exc_info=sys.exception())
            message = {"type": message["type"]}
        await send(message)

    return send_without


@dataclass(frozen=True, slots=True)
class Rescue:
    """Carries an exception past the framework, which would answer it in words of its own."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - raised again by `Application.framework`
            scope["state"][_RAISED] = error
