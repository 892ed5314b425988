"""Opens the OCR engine that reads pictures a second time, if one is configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.services.evidence.reader import NoReader, PooledReader, Reader
from app.settings import Settings


@asynccontextmanager
async def open_reader(settings: Settings) -> AsyncIterator[Reader]:
    """Open the configured OCR reader; its processes end with the block."""
    if settings.evidence_engine == "off":
        yield NoReader()
        return
    async with PooledReader(workers=settings.evidence_workers) as reader:
        yield reader
