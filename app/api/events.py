"""POST /events: events other than HTTP requests, forwarded by AWS Lambda's adapter.

The route exists only if a setting enables it, in a process that only the adapter reaches.
"""

from typing import Annotated
from urllib.parse import unquote_plus

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.errors import problem
from app.api.pipeline.authorization import EVENTS
from app.api.routing.context import Context
from app.domain import errors
from app.services.batches.events import PutObject
from app.services.deferred_model import DeferredModel

router = APIRouter(tags=["operations"])


class S3BucketIn(DeferredModel):
    """The bucket of an S3 event."""

    name: Annotated[str, Field(max_length=63)]


class S3ObjectIn(DeferredModel):
    """The object of an S3 event; its key is encoded as in a URL's query."""

    key: Annotated[str, Field(max_length=3072)]
    sequencer: Annotated[str, Field(max_length=64)] = ""


class S3EntityIn(DeferredModel):
    """The bucket and the object."""

    bucket: S3BucketIn
    object: S3ObjectIn


class S3RecordIn(DeferredModel):
    """One record of an S3 event."""

    s3: S3EntityIn


class S3EventIn(DeferredModel):
    """An event as sent by S3."""

    Records: Annotated[list[S3RecordIn], Field(min_length=1, max_length=100)]


class EventOut(DeferredModel):
    """The batches that were begun."""

    batches: list[str]


@router.post(
    EVENTS,
    operation_id="takeEvent",
    summary="Begin batches for files that S3 reports",
    response_description="The ids of the batches.",
    response_model=EventOut,
    responses=problem.responses(
        errors.InvalidParameterError,
        errors.FileNotFoundHereError,
        errors.FileTooLargeError,
        errors.FileQuotaError,
        errors.FileStoreError,
        errors.WorkQueueError,
        errors.InternalError,
    ),
)
async def take(context: Context, body: S3EventIn) -> Response:
    events = context.services.events
    if events is None:
        raise errors.NotFoundError("there is nothing here")
    put = [
        PutObject(
            record.s3.bucket.name, unquote_plus(record.s3.object.key), record.s3.object.sequencer
        )
        for record in body.Records
    ]
    begun = EventOut(batches=[batch.id for batch in await events.begin(put)])
    context.services.worker.wake()
    return Response(begun.model_dump_json(), media_type="application/json")
