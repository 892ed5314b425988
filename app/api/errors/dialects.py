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
from app.domain.errors import ServiceError

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


def response(error: ServiceError, scope: Scope) -> Response:
    """Render ``error`` for the request in ``scope``, and note its code for the log."""
    scope["state"]["problem"] = error.code
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    render = dict(DIALECTS).get(dialect(path), problem.response)
    return render(error, scope["state"]["request_id"])


async def refuse(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with ``error`` before it reaches a route."""
    await response(error, scope)(scope, receive, send)


EXPECTED = (ServiceError, RequestValidationError, HTTPException)
"""What is raised to be rendered."""


def of(error: Exception, request: Request) -> Response:
    """Render one of `EXPECTED`."""
    match error:
        case ServiceError():
            return response(error, request.scope)
        case RequestValidationError():
            return response(problem.from_validation(error.errors(), error.body), request.scope)
        case HTTPException():
            rendered = response(problem.from_http(error, request), request.scope)
            rendered.headers.update(error.headers or {})
            return rendered
    raise error


def install(app: FastAPI) -> None:
    """Have every error of ``app`` rendered."""

    async def on_error(request: Request, error: Exception) -> Response:
        return of(error, request)

    for expected in EXPECTED:
        app.add_exception_handler(expected, on_error)
