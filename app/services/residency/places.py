"""Keeps data from knowledge bases, guardrails and buckets that are outside the residency.

Each wraps its port, and does not use a place that moved outside after the start.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from app.domain.batch_job import BatchJob, BatchJobName, RecordCounts, RecordResult
from app.domain.errors import FileStoreError, GuardrailUnavailableError, ResidencyError
from app.domain.file import PresignedForm
from app.domain.generation import ModelRequest, Target
from app.domain.guardrail import Assessment, Content, GuardrailPolicy
from app.domain.ports import BatchJobs, FileStore, Guardrail, Retriever
from app.domain.residency import HopKind
from app.domain.retrieval import Chunk, RetrievalQuery
from app.services.residency.sentinel import ResidencySentinel


@dataclass(frozen=True, slots=True)
class ResidentRetriever:
    """A retriever from knowledge bases inside the residency."""

    inner: Retriever
    sentinel: ResidencySentinel

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Retrieve as ``inner`` does, or raise ResidencyError."""
        self.sentinel.check(HopKind.KNOWLEDGE_BASE, query.knowledge_base.id)
        return await self.inner.retrieve(query)


@dataclass(frozen=True, slots=True)
class ResidentGuardrail:
    """A guardrail that counts as unavailable while it is outside: the policy says what follows."""

    inner: Guardrail
    sentinel: ResidencySentinel

    async def assess(self, content: Content, policy: GuardrailPolicy) -> Assessment:
        """Judge as ``inner`` does, or raise GuardrailUnavailableError."""
        try:
            self.sentinel.check_all(HopKind.GUARDRAIL)
        except ResidencyError as error:
            raise GuardrailUnavailableError(error.detail) from error
        return await self.inner.assess(content, policy)


@dataclass(frozen=True, slots=True)
class ResidentFiles:
    """Files in a bucket that is neither written nor read, but cleaned, while it is outside."""

    inner: FileStore
    bucket: str
    sentinel: ResidencySentinel

    async def write(self, owner: str, file_id: str, pieces: AsyncIterator[bytes]) -> int:
        """Keep as ``inner`` does, or raise FileStoreError."""
        self._check()
        return await self.inner.write(owner, file_id, pieces)

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        """Keep facts as ``inner`` does, or raise FileStoreError."""
        self._check()
        await self.inner.describe(owner, file_id, facts)

    async def facts(self, owner: str, file_id: str) -> bytes | None:
        """Return the facts of a file."""
        return await self.inner.facts(owner, file_id)

    def read(self, owner: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Read as ``inner`` does, or raise FileStoreError."""
        self._check()
        return self.inner.read(owner, file_id, start, end)

    async def sizes(self, owner: str) -> Mapping[str, int]:
        """Return the bytes kept under each of the owner's ids."""
        return await self.inner.sizes(owner)

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file and its facts."""
        return await self.inner.delete(owner, file_id)

    async def expire(self, now: float) -> int:
        """Delete files whose time is over."""
        return await self.inner.expire(now)

    async def presigned(
        self, owner: str, file_id: str, size: int, seconds: int
    ) -> PresignedForm | None:
        """Return a form as ``inner`` does, or raise FileStoreError."""
        self._check()
        return await self.inner.presigned(owner, file_id, size, seconds)

    def _check(self) -> None:
        try:
            self.sentinel.check(HopKind.BUCKET, self.bucket)
        except ResidencyError as error:
            raise FileStoreError(error.detail) from error


@dataclass(frozen=True, slots=True)
class ResidentBatchJobs:
    """Batch jobs that are neither written nor started while their bucket or model is outside."""

    inner: BatchJobs
    bucket: str
    target: Target
    sentinel: ResidencySentinel

    async def write(
        self, job: BatchJobName, requests: AsyncIterator[tuple[int, ModelRequest]]
    ) -> int:
        """Write as ``inner`` does, or raise ResidencyError."""
        self._check()
        return await self.inner.write(job, requests)

    async def start(self, job: BatchJobName) -> str:
        """Start as ``inner`` does, or raise ResidencyError."""
        self._check()
        return await self.inner.start(job)

    async def status(self, job_id: str) -> BatchJob:
        """Return the state of the job."""
        return await self.inner.status(job_id)

    async def stop(self, job_id: str) -> None:
        """Ask the job to stop."""
        await self.inner.stop(job_id)

    def results(self, job: BatchJobName, job_id: str) -> AsyncIterator[RecordResult]:
        """Yield the available results, which are paid for, wherever they are."""
        return self.inner.results(job, job_id)

    async def counts(self, job: BatchJobName, job_id: str) -> RecordCounts | None:
        """Return the expected number of results."""
        return await self.inner.counts(job, job_id)

    async def remove(self, job: BatchJobName) -> None:
        """Delete the job's records and results."""
        await self.inner.remove(job)

    def _check(self) -> None:
        self.sentinel.check(HopKind.BUCKET, self.bucket)
        self.sentinel.check_target(self.target)
