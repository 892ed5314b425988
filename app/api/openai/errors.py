"""Errors in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""

from typing import Annotated

from fastapi import Response
from pydantic import Field

from app.api.errors import problem
from app.domain.errors import InternalError, RequestError, ServiceError
from app.services.deferred_model import DeferredModel

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ChatError(DeferredModel):
    """The fault, in OpenAI's form."""

    message: Annotated[str, Field(description="The fault, and the values that would be accepted.")]
    type: Annotated[str, Field(description="OpenAI's type of the error.")]
    param: Annotated[str | None, Field(description="The faulty field: `messages.0.content`.")]
    code: Annotated[str, Field(description="This service's stable error code; see docs/errors.md.")]
    request_id: Annotated[
        str, Field(description="The request's id, as in the header `X-Request-Id`.")
    ]


class ChatErrorBody(DeferredModel):
    """An error in OpenAI's form."""

    error: ChatError


def status(error: ServiceError | type[ServiceError]) -> int:
    """Return the HTTP status that OpenAI's SDKs expect: 400 for bad requests."""
    return 400 if error.status in (415, 422) else error.status


def body(error: ServiceError, request_id: str) -> ChatErrorBody:
    """Return ``error`` in OpenAI's form."""
    return ChatErrorBody(
        error=ChatError(
            message=error.detail,
            type=_type(error),
            param=error.errors[0].field if error.errors else None,
            code=error.code,
            request_id=request_id,
        )
    )


def response(error: ServiceError, request_id: str) -> Response:
    """Render ``error`` in OpenAI's form."""
    again = error.retryable and not error.billed
    return Response(
        body(error, request_id).model_dump_json(),
        status_code=status(error),
        media_type="application/json",
        # OpenAI's SDKs decide by the status, and retry twice, unless this header tells them
        # otherwise. Calls that may have been billed must not be retried.
        headers={**problem.headers(error), "X-Should-Retry": str(again).lower()},
    )


SHAPE = problem.Shape("application/json", "ChatErrorBody", status, body)


def _type(error: ServiceError) -> str:
    if error.status in _TYPES:
        return _TYPES[error.status]
    caused = isinstance(error, RequestError) or (error.status < 500)
    return "invalid_request_error" if caused else _server(error)


def _server(error: ServiceError) -> str:
    return "server_error" if isinstance(error, InternalError) else "api_error"
