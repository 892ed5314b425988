"""Request contexts for tests of single pipeline steps."""

from typing import Any

from app.api.routing.context import CONTEXT, RequestContext
from app.api.routing.headers import read
from app.telemetry import RequestRecord


def request_context(services: Any = None, *headers: tuple[bytes, bytes]) -> RequestContext:
    """Return the context of a request that has just arrived."""
    sent = dict(headers)
    return RequestContext(services, "req_1", sent, read(sent), RequestRecord("req_1", "POST"))


def request_scope(
    services: Any, *headers: tuple[bytes, bytes], path: str = "/open"
) -> dict[str, Any]:
    """Return the ASGI scope of such a request."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": list(headers),
        "state": {"services": services, CONTEXT: request_context(services, *headers)},
    }
