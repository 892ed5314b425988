"""Opens what long work is kept in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.adapters.queue.sealed import SealedQueue
from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.ports import DataCipher, WorkQueue
from app.settings import Settings


@asynccontextmanager
async def open_queue(settings: Settings, cipher: DataCipher) -> AsyncIterator[WorkQueue]:
    """Open the queue of batches and jobs; what it keeps is encrypted by ``cipher``."""
    async with open_sqlite_queue(settings.data_directory / "work.sqlite3") as queue:
        yield SealedQueue(queue, cipher)
