"""Renders errors in the dialect of the requested path."""

import re
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.bedrock import errors as bedrock
from app.api.errors import page, problem
from app.api.errors.problem import Shape
from app.api.openai import errors as openai
from app.api.openai import paths as openai_paths
from app.api.routing.context import request_context
from app.domain.errors import (
    InternalError,
    NotFoundError,
    ServiceError,
    UnknownFieldError,
    UnsupportedParameterError,
)

Render = Callable[[ServiceError, str], Response]

RENDER: dict[str, Render] = {
    "openai": openai.response,
    "bedrock": bedrock.response,
    "": problem.response,
}

BEDROCK = ("/model/", "/guardrail/", "/async-invoke")
"""Beginnings of the paths that bedrock-runtime's clients call, served here or not."""
NATIVE = re.compile(
    "/v1/(generate|tasks|rag|estimate|images/prepare|usage|cache|jobs|webhooks|residency|audit|callers)"
    "(/|$)"
)
"""This service's own paths under /v1; all others there belong to OpenAI's dialect."""


def dialect(path: str) -> str:
    """Return the dialect of ``path``: `openai`, `bedrock`, or an empty text for our own."""
    if path.startswith(BEDROCK):
        return "bedrock"
    under_v1 = path.startswith("/v1/") and not NATIVE.match(path)
    return "openai" if under_v1 or openai_paths.misses_base(path) else ""


def shape(path: str) -> Shape:
    """Return the form of errors at ``path``, for the OpenAPI document."""
    return openai.SHAPE if dialect(path) == "openai" else problem.SHAPE


def render(error: ServiceError, path: str, request_id: str) -> Response:
    """Render ``error`` in the dialect of ``path``, with that dialect's field names."""
    return RENDER[dialect(path)](_renamed(error, path), request_id)


_DIALECT_NAMES = (
    ("prompt", re.compile("/v1/responses$"), "input"),
    ("prompt", re.compile("/v1/chat/|/model/.*/converse(-stream)?$"), "messages"),
    ("raw_prompt", re.compile("/model/.*/invoke"), "prompt"),
)
"""This service's name of a field, the paths of a dialect, and the dialect's name of the field."""


def _renamed(error: ServiceError, path: str) -> ServiceError:
    if not error.errors or isinstance(error, UnsupportedParameterError | UnknownFieldError):
        # An unknown parameter keeps the name that the caller sent: responses have a `prompt`.
        return error
    field = error.errors[0].field
    for ours, paths, theirs in _DIALECT_NAMES:
        if field == ours and paths.match(path):
            return type(error).at(theirs, error.errors[0].message)
    return error


def response(error: Exception, scope: Scope) -> Response:
    """Render the error of the request in ``scope``, and record its code.

    This is the only place where an error becomes an answer. An unexpected exception becomes an
    InternalError that reveals nothing of its message.
    """
    service = service_error(error, scope)
    context = request_context(scope)
    context.record.code = service.code
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if page.is_wanted(service, path, context.headers.get(b"accept", b"")):
        return page.response(service, context.id)
    rendered = render(service, path, context.id)
    if isinstance(error, HTTPException):
        rendered.headers.update(error.headers or {})
    return rendered


def service_error(error: Exception, scope: Scope) -> ServiceError:
    """Return the catalogue's error for ``error``, which the request in ``scope`` raised."""
    match error:
        case ServiceError():
            return error
        case RequestValidationError():
            return problem.from_validation(error.errors(), error.body)
        case HTTPException():
            return _from_http(error, scope)
    return InternalError("a fault of this service; its log has more under the request id")


def _from_http(error: HTTPException, scope: Scope) -> ServiceError:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if error.status_code == HTTPStatus.NOT_FOUND and dialect(path) == "openai":
        return NotFoundError(openai_paths.missing(path))
    return problem.from_http(error, scope["method"], scope["path"])


async def refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with ``error`` before it reaches a route."""
    await response(error, scope)(scope, receive, send)


EXPECTED = (ServiceError, RequestValidationError, HTTPException)
"""Exceptions that are rendered as answers; all others are faults of the service."""


def install(app: FastAPI) -> None:
    """Render here the errors that ``app`` would answer by itself, too."""

    async def on_error(request: Request, error: Exception) -> Response:
        return response(error, request.scope)

    for kind in (*EXPECTED, Exception):
        app.add_exception_handler(kind, on_error)
