"""Opens what makes batches of files that S3 reports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.files.s3_objects import open_s3_objects
from app.domain.batch import BatchEngine
from app.domain.ports import Authenticator
from app.services.batches.events import BatchEvents, EventTerms, ObjectReader
from app.services.batches.service import BatchService
from app.services.files.service import FileService
from app.settings import Settings


@asynccontextmanager
async def open_objects(
    session: aioboto3.Session, settings: Settings
) -> AsyncIterator[ObjectReader | None]:
    """Open what reads the files; None where the settings name no caller for such batches."""
    if settings.s3_event_caller is None:
        yield None
        return
    region = settings.files_region or settings.region
    async with open_s3_objects(session, region, settings.files_endpoint_url) as objects:
        yield objects


def batch_events(
    settings: Settings,
    objects: ObjectReader | None,
    files: FileService,
    batches: BatchService,
    authenticator: Authenticator,
) -> BatchEvents | None:
    """Return what begins the batches; None where the settings name no caller for them."""
    if objects is None or settings.s3_event_caller is None or settings.s3_event_bucket is None:
        return None
    bucket, _, prefix = settings.s3_event_bucket.partition("/")
    terms = EventTerms(
        settings.s3_event_caller,
        bucket,
        prefix,
        settings.s3_event_endpoint,
        BatchEngine(settings.s3_event_engine),
    )
    return BatchEvents(terms, objects, files, batches, authenticator)
