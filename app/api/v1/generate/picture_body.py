"""A body that is one picture: JSON or a multipart form, on one path."""

import json
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from app.api.openapi.examples import PICTURE
from app.api.routing.uploads import UploadRequest
from app.api.v1.image_forms import ImageIn, received
from app.domain.errors import UnsupportedContentTypeError
from app.domain.generation import ImageInput
from app.domain.image import ReceivedImage

_NAME = "image"

BodyT = TypeVar("BodyT", bound=BaseModel)


class PrepareIn(BaseModel):
    """One picture."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: Annotated[ImageIn, Field(description="Base64 text, a data URI, a URL or an S3 object.")]


class PictureForm(BaseModel):
    """One picture as a file."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    image: UploadFile


REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/PrepareIn"},
            "examples": {"picture": {"summary": "A picture", "value": {_NAME: PICTURE}}},
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {
                        "type": "string",
                        "format": "binary",
                        "description": "The picture's file.",
                    }
                },
                "required": ["image"],
                "additionalProperties": False,
            }
        },
    },
}
"""What FastAPI, which knows one form of a body per route, can't write into the document."""


async def _picture(request: Request) -> ImageInput:
    given = request.headers.get("content-type", "none")
    match given.partition(";")[0].strip().lower():
        case "application/json":
            return received(_validated(PrepareIn, await _json(request)).image, _NAME)
        case "multipart/form-data":
            upload = UploadRequest(request.scope, request.receive)
            async with upload.form(max_files=2, max_fields=2) as form:
                file = _validated(PictureForm, dict(form)).image
                return ReceivedImage(await file.read(), file.content_type, _NAME)
    raise UnsupportedContentTypeError(
        f"Content-Type is {given}; accepted here are application/json and multipart/form-data"
    )


Picture = Annotated[ImageInput, Depends(_picture)]


async def _json(request: Request) -> object:
    try:
        body: object = await request.json()
    except json.JSONDecodeError as error:
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body", error.pos), "ctx": {"error": error.msg}}]
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        # As the framework has it, on the other paths.
        raise HTTPException(400) from error
    return body


def _validated(model: type[BodyT], body: object) -> BodyT:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = [{**dict(e), "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(found, body=body) from error
