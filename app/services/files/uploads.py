"""Direct uploads to S3 by a presigned form, which become files once they are completed."""

import time
from collections.abc import Callable
from contextlib import suppress
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
        upload_id = file.new_upload_id(now, now + 2 * WINDOW, size)
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

        A repeated call returns the same file. Raises FileNotFoundHereError, or
        UploadIncompleteError if its bytes are missing.
        """
        try:
            return await self._complete(owner, upload_id)
        except (FileNotFoundHereError, UploadIncompleteError):
            completed = await self._completed(owner, upload_id)
            if completed is None:
                raise
            return completed

    async def _complete(self, owner: str, upload_id: str) -> Upload:
        upload = await self._get(owner, upload_id)
        size = (await self.files.store.sizes(owner)).get(upload_id, 0)
        if size != upload.bytes:
            raise UploadIncompleteError(
                f"{upload.bytes:,} bytes were announced, and {size:,} arrived"
            )
        chunks = self.files.store.read(owner, upload_id, 0, size)
        # One upload makes one file, however often it is completed.
        file_id = _file_id(owner, upload_id, self.files.lifetime(upload.seconds))
        # The upload's own bytes count twice against the quota for a moment.
        draft = await self.files.receive(owner, upload.seconds, chunks, file_id=file_id, spare=size)
        stored = await self.files.finish(draft, upload.name, upload.purpose)
        await self.files.store.delete(owner, upload_id)
        return replace(upload, status=UploadStatus.COMPLETED, file=stored)

    async def _completed(self, owner: str, upload_id: str) -> Upload | None:
        """Return the upload if a file was made of it, whose id tells so."""
        if not file.is_id(upload_id, file.UPLOAD):
            return None
        made = file.without_expiry(_file_id(owner, upload_id))
        names = filter(file.is_id, await self.files.store.sizes(owner))
        for name in [name for name in names if file.without_expiry(name) == made]:
            with suppress(FileNotFoundHereError):
                stored = await self.files.get(owner, name)
                # Its form is valid for an hour, and may have been sent again.
                await self.files.store.delete(owner, upload_id)
                return Upload(
                    upload_id,
                    owner,
                    stored.name,
                    stored.purpose,
                    stored.bytes,
                    None,
                    UploadStatus.COMPLETED,
                    file=stored,
                )
        return None

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


def _file_id(owner: str, upload_id: str, lifetime: float = 0) -> str:
    """Return the id of the file that an upload becomes."""
    created = file.created_at(upload_id)
    return file.new_id(created, created + lifetime, seed=f"{owner}:{upload_id}")


def _purpose(upload_id: str) -> bytes:
    return f"file:{upload_id}:facts".encode()
