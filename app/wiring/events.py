"""Opens what makes batches of files that S3 tells of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.files.s3_objects import open_s3_objects
from app.domain.batch import BatchEngine
from app.domain.ports import Authenticator
from app.services.batches.events import BatchEvents, EventTerms
from app.services.batches.service import BatchService
from app.services.files.service import FileService
from app.settings import Settings


@asynccontextmanager
async def open_events(
    session: aioboto3.Session,
    settings: Settings,
    files: FileService,
    batches: BatchService,
    authenticator: Authenticator,
) -> AsyncIterator[BatchEvents | None]:
    """Open it; None where the settings name no caller for such batches."""
    if settings.s3_event_caller is None or settings.s3_event_bucket is None:
        yield None
        return
    bucket, _, prefix = settings.s3_event_bucket.partition("/")
    terms = EventTerms(
        settings.s3_event_caller,
        bucket,
        prefix,
        settings.s3_event_endpoint,
        BatchEngine(settings.s3_event_engine),
    )
    region = settings.files_region or settings.region
    async with open_s3_objects(session, region, settings.files_endpoint_url) as objects:
        yield BatchEvents(terms, objects, files, batches, authenticator)
