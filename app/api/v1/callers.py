"""DELETE /v1/callers/{id}/data: erases a caller's data."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1", tags=["operations"])


class ErasureOut(DeferredModel):
    """The outcome of an erasure."""

    caller_sha256: Annotated[str, Field(description="SHA-256 of the caller's id.")]
    key_dropped: Annotated[
        bool,
        Field(
            description="Whether the caller's key existed and was deleted. Without it nothing "
            "that was encrypted for the caller can be read, not even in copies and backups."
        ),
    ]
    deleted: Annotated[dict[str, int], Field(description="Number of deleted items, by store.")]
    left: Annotated[
        list[str], Field(description="Stores that could not be reached; repeat the request later.")
    ]
    at: datetime
    receipt: Annotated[
        str | None,
        Field(
            description="JWS (EdDSA) over all of these fields; null if no signing "
            "key is configured."
        ),
    ]


@router.delete(
    "/callers/{id}/data",
    operation_id="eraseCaller",
    summary="Erase a caller's data",
    description="Deletes the caller's key, then its files, batches, jobs and cached answers. "
    "Usage counts remain, as billing needs them, and so do audit records, in which the "
    "caller's id is encrypted under the deleted key. Other workers may use the key for another "
    "minute.",
    response_description="The outcome, with a receipt.",
    responses=problem.responses(
        errors.InvalidParameterError, errors.InternalError, errors.DataKeyError
    ),
)
async def erase(
    context: Context,
    id: Annotated[str, Path(min_length=1, max_length=400)],  # noqa: A002 - the path's own name
) -> ErasureOut:
    erased = await context.services.erasure.erase(id)
    return ErasureOut(
        caller_sha256=erased.caller,
        key_dropped=erased.key_dropped,
        deleted=dict(erased.deleted),
        left=list(erased.left),
        at=erased.at,
        receipt=erased.receipt,
    )
