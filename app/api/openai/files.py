"""`/v1/files`: callers' files, in OpenAI's form."""

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Form, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.api.errors import problem
from app.api.errors.documented import ADMISSION_ERRORS
from app.api.openai import errors as openai
from app.api.openapi.form import exemplified
from app.api.responses.streaming import Streamed
from app.api.routing.context import Context
from app.api.routing.decode import validated
from app.api.routing.form_stream import Chunks, StreamedForm
from app.api.routing.multipart import FormFile
from app.domain import errors
from app.domain.file import FilePurpose, StoredFile
from app.services.deferred_model import DeferredModel
from app.services.files.service import LONGEST, SHORTEST, Draft

router = APIRouter(prefix="/v1", tags=["files"])

Purpose = Literal["batch", "vision"]
_SECONDS = "expires_after[seconds]"
Lifetime = Annotated[int, Field(ge=SHORTEST, le=LONGEST)]
_LIFETIME: TypeAdapter[int] = TypeAdapter(Lifetime)


class FileOut(DeferredModel):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: Annotated[int, Field(description="Size in bytes.")]
    created_at: Annotated[int, Field(description="Time of creation, Unix seconds.")]
    expires_at: Annotated[int, Field(description="Time of deletion, Unix seconds.")]
    filename: str
    purpose: FilePurpose
    status: Annotated[Literal["processed"], Field(description="The only possible value.")] = (
        "processed"
    )
    media_type: Annotated[
        str, Field(description="The type detected from the bytes. Not part of OpenAI's API.")
    ]

    @classmethod
    def from_domain(cls, stored: StoredFile) -> "FileOut":
        """Render ``stored``."""
        return cls(
            id=stored.id,
            bytes=stored.bytes,
            created_at=int(stored.created_at),
            expires_at=int(stored.expires_at),
            filename=stored.name,
            purpose=stored.purpose,
            media_type=stored.media_type,
        )


class FileList(DeferredModel):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileOut]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(DeferredModel):
    """A deleted file."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class FileForm(StreamedForm):
    """A file and its purpose."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=exemplified({"purpose": "vision", _SECONDS: 2592000})
    )

    purpose: Annotated[
        Purpose,
        Field(
            description="`batch`: JSON Lines, the input of a batch. `vision`: a picture or "
            'document, which requests name as `{"file_id": "file-…"}` wherever they take a '
            "picture.",
        ),
    ]
    anchor: Annotated[
        Literal["created_at"],
        Field(alias="expires_after[anchor]", description="The only possible value."),
    ] = "created_at"
    seconds: Annotated[
        Lifetime | None,
        Field(
            alias=_SECONDS,
            description="Seconds for which the file is kept. This field must precede the file.",
        ),
    ] = None
    file: Annotated[FormFile, Field(description="The file.")]


FILE_ERRORS = (
    errors.FileStoreError,
    errors.DataKeyError,
    errors.InternalError,
)


@router.post(
    "/files",
    operation_id="createFile",
    summary="Upload a file",
    description="Keeps a file until it is deleted or its lifetime ends, by default 30 days. Its "
    "type is detected from its bytes, and only its caller sees it. `POST /v1/batches` takes "
    "the answer's `id` as `input_file_id` (purpose `batch`), and requests name pictures by it "
    '(purpose `vision`): `{"file_id": "file-…"}`.',
    response_description="The file.",
    response_model=FileOut,
    responses=problem.documented(
        (
            *FILE_ERRORS,
            errors.MalformedBodyError,
            errors.UnsupportedContentTypeError,
            errors.BodyTooLargeError,
            errors.BodyTimeoutError,
            errors.InvalidParameterError,
            errors.UnknownFieldError,
            errors.FileTooLargeError,
            errors.FileQuotaError,
            errors.FilePurposeError,
            errors.NotAnImageError,
            errors.UnsupportedImageTypeError,
            errors.StorageFullError,
            *ADMISSION_ERRORS,
        ),
        openai.SHAPE,
    ),
)
async def create(
    context: Context, form: Annotated[FileForm, Form(media_type="multipart/form-data")]
) -> Response:
    files, owner = context.services.files, context.call.caller.id

    async def take(before: dict[str, str], _: FormFile, chunks: Chunks) -> Draft:
        return await files.receive(owner, _lifetime(before), chunks)

    fields, draft = await form.read(take)
    try:
        checked = validated(FileForm, {k: v for k, v in fields.items() if v != ""})
        assert isinstance(checked, FileForm)
        assert draft is not None
        if list(fields).index("file") < list(fields).index(_SECONDS) if _SECONDS in fields else 0:
            raise errors.InvalidParameterError.at(_SECONDS, "send it before the file")
    except Exception:
        if draft is not None:
            await files.discard(draft)
        raise
    name = checked.file.name or "file"
    stored = await files.finish(draft, name, FilePurpose(checked.purpose))
    return _json(FileOut.from_domain(stored))


def _lifetime(fields: dict[str, str]) -> float | None:
    """Return the file's lifetime in seconds, or raise an error before any of the file is read."""
    text = fields.get(_SECONDS)
    try:
        return _LIFETIME.validate_python(text) if text else None
    except ValidationError as error:
        bounds = f"give {SHORTEST:,} to {LONGEST:,} seconds"
        raise errors.InvalidParameterError.at(_SECONDS, bounds) from error


@router.get(
    "/files",
    operation_id="listFiles",
    summary="List files",
    description="Lists the caller's own files, newest first.",
    response_description="A page of files.",
    responses=problem.documented((*FILE_ERRORS, errors.InvalidParameterError), openai.SHAPE),
)
async def listed(
    context: Context,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    after: Annotated[
        str | None, Query(description="Id of the last file on the previous page.")
    ] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="Order by age.")] = "desc",
    purpose: Annotated[FilePurpose | None, Query()] = None,
) -> FileList:
    page_files, more = await context.services.files.page(
        context.call.caller.id, limit, after=after, newest_first=order == "desc", purpose=purpose
    )
    data = [FileOut.from_domain(stored) for stored in page_files]
    return FileList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=more,
    )


@router.get(
    "/files/{file_id}",
    operation_id="getFile",
    summary="Show a file",
    response_description="The file.",
    responses=problem.documented((*FILE_ERRORS, errors.FileNotFoundHereError), openai.SHAPE),
)
async def shown(context: Context, file_id: str) -> FileOut:
    return FileOut.from_domain(await context.services.files.get(context.call.caller.id, file_id))


@router.delete(
    "/files/{file_id}",
    operation_id="deleteFile",
    summary="Delete a file",
    description=(
        "Deletes the file at once and permanently. A batch that has not read all of it ends as "
        "`failed`, with the results so far."
    ),
    response_description="The file is gone.",
    responses=problem.documented((*FILE_ERRORS, errors.FileNotFoundHereError), openai.SHAPE),
)
async def deleted(context: Context, file_id: str) -> FileDeleted:
    await context.services.files.delete(context.call.caller.id, file_id)
    context.services.worker.wake()
    return FileDeleted(id=file_id)


_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file's bytes.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "The requested range.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
}


@router.get(
    "/files/{file_id}/content",
    operation_id="downloadFile",
    summary="Download a file",
    description="Returns the file, or with `Range` one range of it.",
    response_class=Response,
    responses=_CONTENT
    | problem.documented(
        (*FILE_ERRORS, errors.FileNotFoundHereError, errors.RangeNotSatisfiableError),
        openai.SHAPE,
    ),
)
async def content(
    context: Context,
    file_id: str,
    range_: Annotated[
        str | None, Header(alias="Range", description="One range: `bytes=0-1023`.")
    ] = None,
    if_range: Annotated[
        str | None,
        Header(
            alias="If-Range",
            description="An `ETag` from an earlier answer; if it does not match, the whole file "
            "is sent.",
        ),
    ] = None,
) -> Response:
    files = context.services.files
    stored = await files.get(context.call.caller.id, file_id)
    # A file never changes, so its id is also its version.
    tag = f'"{stored.id}"'
    part = byte_range(range_ if if_range in (None, tag) else None, stored.bytes)
    start, end = part or (0, stored.bytes)

    async def pieces() -> AsyncGenerator[bytes]:
        async for piece in files.read(stored, start, end):
            yield piece

    name = quote(stored.name, safe="")
    headers = {
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.bytes}"
    response = Streamed(pieces(), stored.media_type, headers)
    response.status_code = 200 if part is None else 206
    return response


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the range as start and end (exclusive); None for the whole file.

    Several ranges, or a header that is not a range of bytes, mean the whole file, as RFC 9110
    allows. Raises RangeNotSatisfiableError.
    """
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", (header or "").replace(" ", "").lower())
    if match is None or not (match[1] or match[2]):
        return None
    first, last = (_position(text) for text in match.groups())
    if first is None:
        start, end = max(0, size - (last or 0)), size
    else:
        start, end = first, size if last is None else min(size, last + 1)
        if last is not None and last < first:
            return None
    if start >= end:
        raise errors.RangeNotSatisfiableError.beyond(size)
    return start, end


def _position(digits: str) -> int | None:
    """Return the number, None if there is none; a number with too many digits becomes 10**18."""
    return int(digits) if 0 < len(digits) < 19 else 10**18 if digits else None


def _json(out: BaseModel) -> Response:
    return Response(orjson.dumps(out.model_dump(mode="json")), media_type="application/json")
