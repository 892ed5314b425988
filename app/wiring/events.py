"""Builds the service that begins batches for S3 events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from app.adapters.files.s3_objects import open_s3_objects
from app.domain.batch import BatchEngine
from app.services.batches.events import BatchEvents, EventTerms, ObjectReader
from app.services.registry import Services
from app.settings import Settings
from app.wiring.work import files_address


@asynccontextmanager
async def open_objects(
    session: aioboto3.Session, settings: Settings
) -> AsyncIterator[ObjectReader | None]:
    """Open the reader of files in S3; None if the settings name no caller for such batches."""
    if settings.s3_event_caller is None:
        yield None
        return
    async with open_s3_objects(session, *files_address(settings)) as objects:
        yield objects


def batch_events(
    settings: Settings, objects: ObjectReader | None, services: Services
) -> BatchEvents | None:
    """Return the service that begins the batches; None if the settings name no caller."""
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
    return BatchEvents(
        terms, objects, services.files, services.batches, services.operations.authenticator
    )
