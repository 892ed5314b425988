"""`/v1/uploads`: large files that clients send directly to S3."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Response
from pydantic import ConfigDict, Field

from app.api.errors import problem
from app.api.errors.documented import ADMISSION_ERRORS, JSON_BODY_ERRORS
from app.api.openai import errors as openai
from app.api.openai.files import FILE_ERRORS, FileOut, Lifetime, Purpose
from app.api.routing.context import Context
from app.domain import errors
from app.domain.file import FilePurpose, created_at, expires_at
from app.services.deferred_model import DeferredModel
from app.services.files.uploads import Upload, UploadStatus

router = APIRouter(prefix="/v1/uploads", tags=["files"])


class UploadExpiry(DeferredModel):
    """The file's lifetime."""

    model_config = ConfigDict(extra="forbid", strict=True)

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[Lifetime, Field(description="Lifetime in seconds.")]


class UploadIn(DeferredModel):
    """A file that will be uploaded."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filename: Annotated[str, Field(min_length=1, max_length=255, description="The file's name.")]
    purpose: Annotated[Purpose, Field(description="The purpose, as for `POST /v1/files`.")]
    bytes: Annotated[int, Field(ge=1, description="Exact size of the file in bytes.")]
    mime_type: Annotated[
        str | None, Field(description="Ignored; the type is detected from the bytes.")
    ] = None
    expires_after: Annotated[
        UploadExpiry | None, Field(description="The file's lifetime; by default 30 days.")
    ] = None


class UploadForm(DeferredModel):
    """A multipart form for S3: first these fields, then the field `file`."""

    url: str
    fields: dict[str, str]


class UploadOut(DeferredModel):
    """An upload."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: FilePurpose
    status: UploadStatus
    form: Annotated[
        UploadForm | None,
        Field(
            description=(
                "The form for sending the file, once and within an hour. Not part of OpenAI's API."
            )
        ),
    ] = None
    file: Annotated[
        FileOut | None, Field(description="The file, once the upload is completed.")
    ] = None

    @classmethod
    def from_domain(cls, upload: Upload) -> "UploadOut":
        """Render ``upload``."""
        form = upload.form
        return cls(
            id=upload.id,
            bytes=upload.bytes,
            created_at=int(created_at(upload.id)),
            expires_at=int(expires_at(upload.id)),
            filename=upload.name,
            purpose=upload.purpose,
            status=upload.status,
            form=None if form is None else UploadForm(url=form.url, fields=dict(form.fields)),
            file=None if upload.file is None else FileOut.from_domain(upload.file),
        )


_EXAMPLE: dict[str, Any] = {
    "picture": {
        "summary": "A large scan",
        "value": {"filename": "scan.pdf", "purpose": "vision", "bytes": 104857600},
    }
}


@router.post(
    "",
    operation_id="createUpload",
    summary="Begin an upload to S3",
    description=(
        "Returns a form for sending the file directly to the service's bucket. Complete the "
        "upload afterwards. Available only if files are kept in S3."
    ),
    response_description="The upload with its form.",
    response_model=UploadOut,
    responses=problem.documented(
        (
            *FILE_ERRORS,
            *JSON_BODY_ERRORS,
            errors.FileTooLargeError,
            errors.FileQuotaError,
            errors.UploadsDisabledError,
            *ADMISSION_ERRORS,
        ),
        openai.SHAPE,
    ),
)
async def begin(
    context: Context, body: Annotated[UploadIn, Body(openapi_examples=_EXAMPLE)]
) -> Response:
    upload = await context.services.uploads.begin(
        context.call.caller.id,
        body.filename,
        FilePurpose(body.purpose),
        body.bytes,
        None if body.expires_after is None else body.expires_after.seconds,
    )
    return _json(upload)


_ENDINGS = problem.documented(
    (
        *FILE_ERRORS,
        errors.FileNotFoundHereError,
        errors.UploadIncompleteError,
        errors.FileQuotaError,
        errors.FilePurposeError,
        errors.NotAnImageError,
        errors.UnsupportedImageTypeError,
        *ADMISSION_ERRORS,
    ),
    openai.SHAPE,
)


@router.post(
    "/{upload_id}/complete",
    operation_id="completeUpload",
    summary="Complete an upload",
    response_description="The upload with its file.",
    response_model=UploadOut,
    responses=_ENDINGS,
)
async def complete(context: Context, upload_id: str) -> Response:
    uploads, owner = context.services.uploads, context.call.caller.id
    return _json(await uploads.complete(owner, upload_id))


@router.post(
    "/{upload_id}/cancel",
    operation_id="cancelUpload",
    summary="Cancel an upload",
    response_description="The upload.",
    response_model=UploadOut,
    responses=_ENDINGS,
)
async def cancel(context: Context, upload_id: str) -> Response:
    uploads, owner = context.services.uploads, context.call.caller.id
    return _json(await uploads.cancel(owner, upload_id))


def _json(upload: Upload) -> Response:
    out = UploadOut.from_domain(upload).model_dump(mode="json")
    return Response(orjson.dumps(out), media_type="application/json")
