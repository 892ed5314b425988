"""Begins batches of files that S3 has reported."""

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
"""Batches of the caller among which an event that comes again is looked for."""
_SOURCE = "s3_event"


@dataclass(frozen=True, slots=True)
class PutObject:
    """An object that was put into a bucket."""

    bucket: str
    key: str
    version: str
    """S3's sequencer, which distinguishes the events of one object."""


class ObjectReader(Protocol):
    """Reads objects of a bucket."""

    def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes, or raise FileStoreError or FileNotFoundHereError."""
        ...


@dataclass(frozen=True, slots=True)
class EventTerms:
    """The caller, the files and the engine of batches that events begin."""

    caller: str
    bucket: str
    prefix: str
    endpoint: str
    engine: BatchEngine


@dataclass(frozen=True, slots=True)
class BatchEvents:
    """Makes a batch of each file that is put into the bucket."""

    terms: EventTerms
    objects: ObjectReader
    files: FileService
    batches: BatchService
    authenticator: Authenticator

    async def begin(self, put: Sequence[PutObject]) -> Sequence[Batch]:
        """Return the batches of ``put``, one for each object; one that there is already is it.

        S3 tells of an object at least once, and Lambda asks again after a failure. Raises
        InvalidParameterError for an object of elsewhere, AccessError where the caller is gone or
        may not, and what begins no batch.
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
