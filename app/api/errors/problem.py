"""Errors as RFC 9457 problem details (``application/problem+json``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil
from typing import Any

import orjson
from fastapi import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.api.errors.likely_field import likely_field
from app.api.responses import rate_limit_headers
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.domain import errors
from app.domain.errors import (
    AccessError,
    FieldError,
    RangeNotSatisfiableError,
    RateLimitedError,
    ServiceError,
)
from app.services.deferred_model import DeferredModel

MEDIA_TYPE = "application/problem+json"
# As RFC 6750 requires for bearer tokens.
CHALLENGES = {401: 'Bearer realm="llama-vision"', 403: 'Bearer error="insufficient_scope"'}
TYPE = "urn:llama-vision:error:"

Responses = dict[int | str, dict[str, Any]]


class FieldProblem(DeferredModel):
    """A faulty field."""

    field: str = Field(description="Path of the field, dotted: `images.0`.")
    code: str = Field(description="The kind of fault.")
    message: str = Field(description="The fault, and the values that would be accepted.")


class Fault(DeferredModel):
    """A fault with a stable `code`."""

    type: str = Field(description="The code as a URI; docs/errors.md explains it.")
    title: str = Field(description="The code's title, the same for every occurrence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(
        description="The fault of this request, and the values that would be accepted."
    )
    code: str = Field(description="The stable code; see docs/errors.md.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[FieldProblem] = Field(
        description="The faulty fields; empty if the error concerns no field."
    )


class Problem(Fault):
    """Problem details as in RFC 9457, with a stable `code`."""

    request_id: str = Field(description="The request's id, as in the header `X-Request-Id`.")


class PaidProblem(Problem):
    """Problem details of an answer that was paid for but withheld by a guardrail."""

    prompt_token_count: int | None = Field(description="Input tokens; null if unknown.")
    generation_token_count: int | None = Field(description="Output tokens; null if unknown.")
    cost_usd: CostOut | None = Field(
        description="The cost; null if the price or a count is unknown."
    )
    guardrail: GuardrailOut | None = Field(description="The guardrails' report.")


def describe(error: ServiceError, request_id: str) -> Problem:
    """Return the problem details of ``error``."""
    facts = fault(error).model_dump()
    if error.usage is None:
        return Problem(request_id=request_id, **facts)
    return PaidProblem(
        request_id=request_id,
        **facts,
        prompt_token_count=error.usage.prompt_token_count,
        generation_token_count=error.usage.generation_token_count,
        cost_usd=CostOut.from_domain(error.usage.cost),
        guardrail=GuardrailOut.from_domain(error.report),
    )


def fault(error: ServiceError) -> Fault:
    """Return ``error`` as a part of an answer that holds other results too."""
    return Fault(
        type=f"{TYPE}{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        retryable=error.retryable,
        errors=[FieldProblem(field=e.field, code=e.code, message=e.message) for e in error.errors],
    )


def headers(error: ServiceError) -> dict[str, str]:
    """Return the headers of an answer to ``error``, the same in every dialect."""
    rendered = {}
    if error.retry_after is not None:
        rendered["Retry-After"] = str(max(1, ceil(error.retry_after)))
    if isinstance(error, RateLimitedError):
        rendered |= rate_limit_headers.headers(error.quota_statuses)
    if isinstance(error, AccessError) and error.status in CHALLENGES:
        rendered["WWW-Authenticate"] = CHALLENGES[error.status]
    if isinstance(error, RangeNotSatisfiableError):
        rendered["Content-Range"] = f"bytes */{error.size}"
    return rendered


def response(error: ServiceError, request_id: str) -> Response:
    """Render ``error`` as problem details."""
    return Response(
        orjson.dumps(describe(error, request_id).model_dump()),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers=headers(error),
    )


def responses(*declared: type[ServiceError]) -> Responses:
    """Return the OpenAPI responses for ``declared`` errors, one for each status."""
    return documented(declared, SHAPE)


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of errors in one dialect, for the OpenAPI document."""

    media_type: str
    schema: str
    status: Callable[[ServiceError | type[ServiceError]], int]
    example: Callable[[ServiceError, str], BaseModel]


SHAPE = Shape(MEDIA_TYPE, "Problem", lambda error: error.status, describe)


def documented(declared: Sequence[type[ServiceError]], shape: Shape) -> Responses:
    """Return the OpenAPI responses for ``declared`` errors in the form ``shape``, by status."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in declared:
        by_status.setdefault(shape.status(error), []).append(error)
    return {status: _response(classes, shape) for status, classes in sorted(by_status.items())}


def _response(kinds: Sequence[type[ServiceError]], shape: Shape) -> dict[str, Any]:
    examples = {
        error.code: _example(error, shape)  # type: ignore[arg-type]  # a class is hashable
        for error in kinds
    }
    return {
        "description": "; ".join(f"`{error.code}`: {_first_line(error)}" for error in kinds),
        "content": {
            shape.media_type: {
                "schema": {"$ref": f"#/components/schemas/{shape.schema}"},
                "examples": examples,
            }
        },
    }


@cache  # sixty routes declare the same errors, two thousand times in all
def _example(error: type[ServiceError], shape: Shape) -> dict[str, Any]:
    described = shape.example(error(_first_line(error)), "req_0123456789abcdef")
    return {"value": described.model_dump()}


def _first_line(error: type[ServiceError]) -> str:
    return (error.__doc__ or error.title).strip().splitlines()[0]


class RaisedWhileReading(HTTPException):
    """Carries a ServiceError out of FastAPI's body reading, which lets only this type pass."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.status, error.detail)
        self.error = error


# For errors that a library raises.
_BY_STATUS: dict[int, type[ServiceError]] = {
    400: errors.MalformedBodyError,
    401: errors.CredentialsMissingError,
    403: errors.ScopeMissingError,
    413: errors.BodyTooLargeError,
    415: errors.UnsupportedContentTypeError,
    422: errors.InvalidParameterError,
    429: errors.RateLimitedError,
    503: errors.OverloadedError,
}


def from_http(error: HTTPException, method: str, path: str) -> ServiceError:
    """Return the catalogue's error for an HTTPException of the framework."""
    if isinstance(error, RaisedWhileReading):
        return error.error
    match error.status_code:
        case 404:
            return errors.NotFoundError(f"there is no {path[:200]}; see /docs")
        case 405:
            allowed = (error.headers or {}).get("Allow", "other methods")
            return errors.MethodNotAllowedError(
                f"{method} is not allowed here; accepted: {allowed}"
            )
        case status:
            return _BY_STATUS.get(status, errors.InternalError)(str(error.detail))


MOST_FAULTS = 10
"""Maximum faults reported for one request; more would not help its sender."""
_LONGEST_TAG = 40
_LONGEST_PATH = 200
"""Maximum characters of a reported path, as callers choose the keys of maps."""


def from_validation(faults: Sequence[Mapping[str, Any]], body: object = None) -> ServiceError:
    """Return one error for Pydantic's faults in ``body``, with an entry for each field."""
    fields = [_field_error(error, body) for error in faults[:MOST_FAULTS]]
    codes = {field.code for field in fields}
    cls = _BY_CODE[codes.pop()] if len(codes) == 1 else errors.InvalidParameterError
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields[:5])
    if len(faults) > MOST_FAULTS:
        detail += f"; and {len(faults) - MOST_FAULTS:,} more"
    return cls(detail, errors=tuple(fields))


_BY_CODE: dict[str, type[ServiceError]] = {
    cls.code: cls
    for cls in (
        errors.InvalidParameterError,
        errors.MalformedJsonError,
        errors.PromptMissingError,
        errors.UnknownFieldError,
        errors.UnsupportedContentTypeError,
    )
}


def _field_error(error: Mapping[str, Any], body: object) -> FieldError:
    location = ".".join(map(str, _path(error, body)))[:_LONGEST_PATH] or "body"
    code = errors.InvalidParameterError.code
    match error["type"]:
        case "json_invalid":
            reason = error.get("ctx", {}).get("error", "")
            # Not every parser gives the place separately from its message.
            at = f" at character {location}" if location.isdigit() else ""
            message = f"is not JSON{at}: {reason}"
            # A field of a form may itself be JSON.
            field = "body" if at else location
            return FieldError(field, errors.MalformedJsonError.code, message)
        case "extra_forbidden":
            likely = likely_field(location, error.get("ctx", {}).get("fields", ()))
            message = "there is no such field" + (f"; did you mean {likely}?" if likely else "")
            return FieldError(location, errors.UnknownFieldError.code, message)
        # Pydantic's own messages would name our classes.
        case "model_attributes_type" | "model_type":
            return FieldError(location, code, "send a JSON object")
        case "union_tag_invalid":
            name, tag = _discriminator(error), str(error["ctx"]["tag"])[:_LONGEST_TAG]
            if error["input"].get(name) is None:
                return FieldError(location, code, f"{name} is missing")
            message = f"{name} {tag!r} is not one of {error['ctx']['expected_tags']}"
            return FieldError(location, code, message)
        case "union_tag_not_found":
            return FieldError(location, code, f"{_discriminator(error)} is missing")
        case "is_instance_of" if "FormFile" in error["msg"]:
            message = f"send a file (curl: -F {location.partition('.')[0]}=@photo.png)"
            return FieldError(location, code, message)
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            message = message.replace(" after validation", "")
            return FieldError(location, code, message)


def _discriminator(error: Mapping[str, Any]) -> str:
    return str(error["ctx"]["discriminator"]).strip("'")


def _path(error: Mapping[str, Any], body: object) -> list[object]:
    """Return the error's path in ``body``, without the union tags in Pydantic's own path."""
    place: list[object]
    kind, *place = error["loc"]
    if kind != "body" or not isinstance(body, dict):
        return place
    # The missing field is the only part that is not in the body.
    missing = [place.pop()] if error["type"] == "missing" else []
    path: list[object] = []
    within: Any = body
    for part, following in pairwise((*place, None)):
        if missing and within == error.get("input"):
            # The body may have a member with the tag's name where another member is missing.
            break
        if not _holds(within, part):
            continue
        # A tag may also be a field's name, as `text` and `image_url` are.
        if _holds(within, following) and not _holds(within[part], following):
            continue
        path.append(part)
        within = within[part]
    return path + missing


def _holds(value: object, part: object) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
