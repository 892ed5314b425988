"""The file from which a batch's rows are read.

A batch that becomes a Bedrock batch job gets its own copy before anything is paid for, so that the
job's answers are delivered even if the caller deletes the file.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from app.domain import file
from app.domain.batch import Batch
from app.domain.errors import FileNotFoundHereError
from app.domain.file import StoredFile
from app.services.batches.intake import Intake
from app.services.batches.row import Place
from app.services.files.service import FileService

_KEPT = 8 * 24 * 3600
"""Seconds after which a leftover copy expires: one day more than the longest window."""


def _copy_id(batch: Batch) -> str:
    seed = f"{batch.owner}:{batch.id}:input"
    return file.new_id(batch.created_at, batch.created_at + _KEPT, file.COPY, seed)


async def keep(files: FileService, batch: Batch) -> None:
    """Copy the batch's input file, or raise FileNotFoundHereError if it was deleted."""
    with suppress(FileNotFoundHereError):
        await files.get(batch.owner, _copy_id(batch), file.COPY)
        return
    stored = await files.get(batch.owner, batch.input_file_id)
    await files.copy(stored, _copy_id(batch))


async def forget(files: FileService, batch: Batch) -> None:
    """Delete the copy if it exists."""
    await files.forget_copy(batch.owner, _copy_id(batch))


async def of_batch(files: FileService, batch: Batch) -> StoredFile:
    """Return the copy, or the input file if there is no copy, or raise FileNotFoundHereError."""
    if batch.native is not None:
        with suppress(FileNotFoundHereError):
            return await files.get(batch.owner, _copy_id(batch), file.COPY)
    return await files.get(batch.owner, batch.input_file_id)


async def places(
    files: FileService, batch: Batch, alive: Callable[[], Awaitable[None]]
) -> Sequence[Place]:
    """Return the places of all rows of a validated input, indexed by position.

    Raises FileNotFoundHereError.
    """
    intake = Intake.again(files, await of_batch(files, batch), batch.endpoint, alive)
    await intake.read()
    return intake.places
