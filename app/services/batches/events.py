"""Creates batches from S3 object-created events."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.access import Caller, Scope
from app.domain.batch import Batch, BatchEngine
from app.domain.errors import InvalidParameterError, ScopeMissingError
from app.domain.file import FilePurpose
from app.domain.ports import Authenticator
from app.services.batches.service import BatchService, NewBatch
from app.services.files.service import FileService

RECENT = 100
"""Number of the caller's latest batches that are searched for a repeated event."""
_SOURCE = "s3_event"


@dataclass(frozen=True, slots=True)
class PutObject:
    """An object that was put into a bucket."""

    bucket: str
    key: str
    version: str
    """S3's sequencer, which tells the events of one object apart."""


class ObjectReader(Protocol):
    """Reads objects from a bucket."""

    def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes, or raise FileStoreError or FileNotFoundHereError."""
        ...


@dataclass(frozen=True, slots=True)
class EventTerms:
    """Settings of the batches that events create."""

    caller: str
    bucket: str
    prefix: str
    endpoint: str
    engine: BatchEngine


@dataclass(frozen=True, slots=True)
class BatchEvents:
    """Creates a batch for each file that is put into the bucket."""

    terms: EventTerms
    objects: ObjectReader
    files: FileService
    batches: BatchService
    authenticator: Authenticator

    async def begin(self, put: Sequence[PutObject]) -> Sequence[Batch]:
        """Return one batch for each object in ``put``, creating those that do not exist yet.

        S3 delivers events at least once, and Lambda retries after failures. Raises
        InvalidParameterError for an object outside the configured bucket and prefix, AccessError
        if the caller is gone or lacks the scope, and the errors of `BatchService.begin`.
        """
        terms = self.terms
        for one in put:
            if one.bucket != terms.bucket or not one.key.startswith(terms.prefix):
                raise InvalidParameterError.at("Records", "an object is not of s3_event_bucket")
        caller = self.authenticator.current(Caller(terms.caller, frozenset(Scope)))
        if Scope.BATCHES not in caller.scopes:
            raise ScopeMissingError(f"this needs the scope {Scope.BATCHES}")
        recent, _ = await self.batches.page(caller.id, RECENT, None)
        known = {(batch.metadata or {}).get(_SOURCE): batch for batch in recent}
        begun = []
        for one in put:
            source = f"{one.bucket}/{one.key}"[:400] + f"#{one.version}"[:100]
            if source not in known:
                known[source] = await self._begun(caller, one, source)
            begun.append(known[source])
        return begun

    async def _begun(self, caller: Caller, put: PutObject, source: str) -> Batch:
        chunks = self.objects.read(put.bucket, put.key)
        draft = await self.files.receive(caller.id, None, chunks)
        name = put.key.rpartition("/")[2][-255:] or "batch.jsonl"
        stored = await self.files.finish(draft, name, FilePurpose.BATCH)
        return await self.batches.begin(
            NewBatch(
                caller,
                self.terms.endpoint,
                stored.id,
                "24h",
                {_SOURCE: source},
                engine=self.terms.engine,
            )
        )
