"""POST /v1/images/prepare: prepares a picture without calling the model."""

import json
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response

from app.api.errors import problem
from app.api.errors.documented import ADMISSION_ERRORS, IMAGE_ERRORS, JSON_IMAGE_ERRORS
from app.api.routing.context import Context
from app.api.routing.headers import DeadlineHeaders
from app.api.v1.generate import serialize
from app.api.v1.generate.schemas import ImageOut
from app.api.v1.picture_body import Picture
from app.domain import errors
from app.domain.image import ImageReport

router = APIRouter(prefix="/v1/images", tags=["images"])

REPORT_HEADER = "X-Image-Report"

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

PREPARED_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report. If `Accept` asks for an image, the prepared picture itself, "
        f"with the report as JSON in the header `{REPORT_HEADER}`.",
        "content": dict.fromkeys(("image/jpeg", "image/png"), _BINARY),
        "headers": {
            REPORT_HEADER: {
                "description": "The report as ASCII JSON, if the answer is a picture.",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.post(
    "/prepare",
    operation_id="prepareImage",
    summary="Prepare a picture without calling the model",
    description="A dry run: reports what a picture is, how it would be prepared for the model, "
    "and what may be lost. Takes one picture, as JSON in every form that `/v1/generate` takes, "
    "or as the file `image` of a multipart form. With `Accept: image/*` the answer is the "
    "picture that the model would receive. Nothing is spent.",
    response_model=ImageOut,
    responses=PREPARED_RESPONSE
    | problem.responses(
        *JSON_IMAGE_ERRORS,
        errors.MalformedBodyError,
        errors.UnsupportedContentTypeError,
        errors.BodyTimeoutError,
        errors.BodyTooLargeError,
        errors.InvalidParameterError,
        errors.UnknownFieldError,
        *IMAGE_ERRORS,
        errors.InternalError,
        *ADMISSION_ERRORS,
    ),
)
async def prepare(
    context: Context,
    headers: DeadlineHeaders,  # noqa: ARG001 - the deadline is already in the context
    picture: Picture,
    accept: Annotated[
        str, Header(description="`image/*` returns the picture, everything else the report.")
    ] = "application/json",
) -> Response:
    preparations = context.services.preparations
    return rendered(
        await preparations.prepare(picture.to_image(context.call.caller.id), context.deadline),
        accept,
    )


def rendered(report: ImageReport, accept: str) -> Response:
    """Return the picture if ``accept`` asks for one, else the report."""
    out = serialize.image(report)
    if not wants_picture(accept):
        return Response(orjson.dumps(out), media_type="application/json")
    return Response(
        report.prepared.data,
        media_type=report.prepared.media_type,
        headers={REPORT_HEADER: json.dumps(out, separators=(",", ":"))},
    )


def wants_picture(accept: str) -> bool:
    """Tell whether an Accept header names images, and not JSON before them."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    images = [i for i, name in enumerate(named) if name.startswith("image/")]
    return bool(images) and "application/json" not in named[: images[0]]
