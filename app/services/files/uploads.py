"""Direct uploads to S3 by a presigned form, which become files once they are completed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import orjson

from app.domain import file
from app.domain.errors import (
    FileNotFoundHereError,
    FileQuotaError,
    FileTooLargeError,
    UploadIncompleteError,
    UploadsDisabledError,
)
from app.domain.file import FilePurpose, PresignedForm, StoredFile
from app.services.files.service import FileService

WINDOW = 3600
"""Seconds for which the presigned form is valid."""


class UploadStatus(StrEnum):
    """The states of an upload, as the OpenAI API names them."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Upload:
    """A direct upload and, once completed, its file."""

    id: str
    owner: str
    name: str
    purpose: FilePurpose
    bytes: int
    seconds: float | None
    """Requested lifetime of the file in seconds; None for the default."""
    status: UploadStatus = UploadStatus.PENDING
    form: PresignedForm | None = None
    file: StoredFile | None = None


@dataclass(frozen=True, slots=True)
class UploadService:
    """Makes files of objects that were uploaded directly to the store."""

    files: FileService
    clock: Callable[[], float] = time.time

    async def begin(
        self, owner: str, name: str, purpose: FilePurpose, size: int, seconds: float | None
    ) -> Upload:
        """Create an upload with its presigned form.

        Raises UploadsDisabledError, FileTooLargeError or FileQuotaError.
        """
        limits = self.files.limits
        if size > limits.max_bytes:
            raise FileTooLargeError.at("bytes", f"at most {limits.max_bytes:,} are taken")
        if size > await self.files.room(owner):
            raise FileQuotaError("your files have reached their limit of bytes; delete some")
        now = self.clock()
        # Kept for twice the form's validity, so that there is time to complete the upload.
        upload_id = file.new_id(now, now + 2 * WINDOW, file.UPLOAD)
        form = await self.files.store.presigned(owner, upload_id, size, WINDOW)
        if form is None:
            raise UploadsDisabledError(
                "uploads to the store need files in S3 (LLAMA_VISION_FILES_STORE=s3); send the "
                "file to POST /v1/files"
            )
        upload = Upload(upload_id, owner, name, purpose, size, seconds, form=form)
        facts = {"name": name, "purpose": purpose, "bytes": size, "seconds": seconds}
        sealed = await self.files.cipher.encrypt(owner, orjson.dumps(facts), _purpose(upload_id))
        await self.files.store.describe(owner, upload_id, sealed)
        return upload

    async def complete(self, owner: str, upload_id: str) -> Upload:
        """Turn the upload into a file and delete the uploaded object.

        Raises FileNotFoundHereError, or UploadIncompleteError if its bytes are missing.
        """
        upload = await self._get(owner, upload_id)
        size = (await self.files.store.sizes(owner)).get(upload_id)
        if size != upload.bytes:
            raise UploadIncompleteError(
                f"{upload.bytes:,} bytes were announced, and {size or 0:,} arrived"
            )
        chunks = self.files.store.read(owner, upload_id, 0, size)
        # The upload's own bytes count twice against the quota for a moment.
        draft = await self.files.receive(owner, upload.seconds, chunks, spare=size)
        stored = await self.files.finish(draft, upload.name, upload.purpose)
        await self.files.store.delete(owner, upload_id)
        return replace(upload, status=UploadStatus.COMPLETED, file=stored)

    async def cancel(self, owner: str, upload_id: str) -> Upload:
        """Cancel the upload and delete its object, or raise FileNotFoundHereError."""
        upload = await self._get(owner, upload_id)
        await self.files.store.delete(owner, upload_id)
        return replace(upload, status=UploadStatus.CANCELLED)

    async def _get(self, owner: str, upload_id: str) -> Upload:
        missing = FileNotFoundHereError(f"there is no upload {upload_id[:64]!r}")
        if not file.is_id(upload_id, file.UPLOAD):
            raise missing
        sealed = await self.files.store.facts(owner, upload_id)
        if sealed is None or file.expires_at(upload_id) <= self.clock():
            raise missing
        opened = await self.files.cipher.decrypt(owner, sealed, _purpose(upload_id))
        facts = orjson.loads(opened)
        purpose = FilePurpose(facts["purpose"])
        return Upload(upload_id, owner, facts["name"], purpose, facts["bytes"], facts["seconds"])


def _purpose(upload_id: str) -> bytes:
    return f"file:{upload_id}:facts".encode()
