"""Which shape an error takes: its dialect's own, by the path that was asked."""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.bedrock import errors as bedrock
from app.api.errors import problem
from app.api.errors.problem import Shape
from app.api.openai import errors as openai
from app.api.routing.context import request_context
from app.domain.errors import InternalError, ServiceError

OPENAI = "/v1/chat/"

Render = Callable[[ServiceError, str], Response]

DIALECTS: tuple[tuple[str, Render], ...] = (
    (OPENAI, openai.response),
    ("/model/", bedrock.response),
)
"""Every other path has problem details."""


def shape(path: str) -> Shape:
    """Return how the OpenAPI document tells errors of ``path``."""
    return openai.SHAPE if path.startswith(OPENAI) else problem.SHAPE


def dialect(path: str) -> str:
    """Return what paths of the same dialect as ``path`` begin with; nothing for our own."""
    return next((prefix for prefix, _ in DIALECTS if path.startswith(prefix)), "")


def render(error: ServiceError, path: str, request_id: str) -> Response:
    """Render ``error`` in the dialect of ``path``."""
    return dict(DIALECTS).get(dialect(path), problem.response)(error, request_id)


def response(error: Exception, scope: Scope) -> Response:
    """Render what a request in ``scope`` failed with, and note its code for the log.

    The only place where an error becomes an answer. An exception that nobody expects is told as
    an InternalError, without a word of what it says.
    """
    told = _service_error(error, scope)
    context = request_context(scope)
    context.record.code = told.code
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    rendered = render(told, path, context.id)
    if isinstance(error, HTTPException):
        rendered.headers.update(error.headers or {})
    return rendered


def _service_error(error: Exception, scope: Scope) -> ServiceError:
    match error:
        case ServiceError():
            return error
        case RequestValidationError():
            return problem.from_validation(error.errors(), error.body)
        case HTTPException():
            return problem.from_http(error, scope["method"], scope["path"])
    return InternalError("a fault of this service; its log has more under the request id")


async def refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with ``error`` before it reaches a route."""
    await response(error, scope)(scope, receive, send)


EXPECTED = (ServiceError, RequestValidationError, HTTPException)
"""Errors that are raised to be rendered."""


def install(app: FastAPI) -> None:
    """Have errors of what ``app`` answers by itself rendered here too."""

    async def on_error(request: Request, error: Exception) -> Response:
        return response(error, request.scope)

    for kind in (*EXPECTED, Exception):
        app.add_exception_handler(kind, on_error)
