"""The outside world as the use cases need it, in the domain's words.

Every port's fake is in ``tests/support``; one contract suite runs over the fake and the
adapter.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from app.domain.access import Caller
from app.domain.batch_job import BatchJob, BatchJobName, RecordCounts, RecordResult
from app.domain.cache import Place
from app.domain.file import PresignedForm
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.guardrail import Assessment, Content, GuardrailPolicy
from app.domain.image import ImageReport, ReceivedImage
from app.domain.limit import Quota, QuotaStatus
from app.domain.retrieval import Chunk, RetrievalQuery
from app.domain.token import TokenCount
from app.domain.usage import UsageBatch, UsageQuery, UsageRow
from app.domain.webhook import WebhookReply
from app.domain.work import (
    Finished,
    GroupCounts,
    Leased,
    NewWork,
    Postponed,
    QueueDepth,
    WorkGroup,
    WorkKind,
    WorkResult,
)

Note = Callable[[str, Mapping[str, Any]], None]
"""Records a change of access or configuration in the audit log, by its kind and facts."""


def unnoted(kind: str, facts: Mapping[str, Any]) -> None:
    """Note nothing, if there is no audit log."""


class VisionModel(Protocol):
    """A Llama Vision model."""

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call. Raises an `app.domain.errors.UpstreamError`."""
        ...

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece.

        Entering awaits the upstream's first event, so that a refusal is raised there and not in the
        middle. Iterating yields `Delta`s and at last exactly one `Finish`, each time all parts that
        arrived together, as passing on many costs no more than passing on one. It raises
        StreamTruncatedError if the upstream ends without a `Finish`, and UpstreamError for every
        other failure. Leaving closes the upstream at any point of the stream.
        """
        ...


class Retriever(Protocol):
    """Finds chunks of documents in knowledge bases."""

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Return the chunks found, best first. Raises an `app.domain.errors.UpstreamError`.

        They are at most ``query.results``, and none if nothing was found.
        """
        ...


class ImagePreparer(Protocol):
    """Prepares any picture for the model."""

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report of the picture as received and as prepared. Raises an ImageError."""
        ...


class Arrival(Protocol):
    """Memory for a picture that is being fetched, reserved as it arrives."""

    async def grow_to(self, size: int) -> None:
        """Wait for memory for ``size`` bytes in total. Raises OverloadedError."""
        ...


RemoteT_contra = TypeVar("RemoteT_contra", contravariant=True)


class ImageSource(Protocol[RemoteT_contra]):
    """Fetches pictures of one kind: `UrlImage`, `S3Image` or `FileImage`."""

    async def fetch(self, image: RemoteT_contra, arrival: Arrival) -> ReceivedImage:
        """Return the bytes, within the source's bounds of size and time. Raises an ImageError.

        ``arrival`` reserves memory for each piece; that wait does not count as the source's time.
        """
        ...


class Readiness(Protocol):
    """Checks whether the upstream could be called, without spending anything."""

    async def check(self) -> None:
        """Raise NotReadyError, which says what is missing, if the upstream can't be called."""
        ...


class Authenticator(Protocol):
    """Identifies callers."""

    async def authenticate(self, credential: str | None) -> Caller:
        """Return the holder of ``credential``. Raises an AccessError.

        ``credential`` is a key or token as it was sent; None if none was.
        """
        ...

    def current(self, caller: Caller) -> Caller:
        """Return an earlier caller with its current rights. Raises CredentialsInvalidError.

        Deferred work checks its caller's rights again. A token's holder has the rights that the
        token had then; a revoked or removed key has no holder.
        """
        ...


class UsageStore(Protocol):
    """Keeps usage by day, model, caller and task, for every replica together."""

    async def add(self, batch: UsageBatch) -> None:
        """Add all rows or none. Raises UsageStoreError.

        After an error either may be the case, so a writer's last batch counts once if it is
        repeated.
        """
        ...

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows, oldest first. Raises UsageStoreError."""
        ...


class TokenCounter(Protocol):
    """Counts a prompt's tokens without calling the model."""

    async def count(self, request: ModelRequest) -> TokenCount:
        """Return the tokens of the whole prompt, template and pictures included."""
        ...


class RateLimiter(Protocol):
    """Counts callers' use of their quotas, for all replicas together or for one process."""

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[QuotaStatus, ...]:
        """Take ``amount`` from every quota or from none, and return what is left.

        Raises RateLimitedError, which names the quota, or LimiterUnavailableError.
        """
        ...

    async def settle(self, holder: str, taken: tuple[QuotaStatus, ...], difference: int) -> None:
        """Add ``difference``, which may be negative, to the windows from which an amount was taken.

        Windows that have ended are unchanged. Raises LimiterUnavailableError.
        """
        ...


class Guardrail(Protocol):
    """Judges texts and pictures by the guardrail that a policy names."""

    async def assess(self, content: Content, policy: GuardrailPolicy) -> Assessment:
        """Return one verdict on all of ``content``.

        Raises GuardrailUnavailableError if the guardrail can't be reached, does not exist, or gives
        an unreadable answer.
        """
        ...


class AnswerStore(Protocol):
    """Stores answers as opaque bytes, within bounds and for a limited time.

    Every method raises AnswerStoreError if the store can't be used.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes see the same answers."""
        ...

    async def get(self, place: Place) -> bytes | None:
        """Return the unexpired entry at a place; None if there is none."""
        ...

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Store ``data`` for ``seconds``, replacing an earlier entry."""
        ...

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Tell whether ``holder`` is the one to make the answer, for the next ``seconds``.

        The holder may claim again to extend the time.
        """
        ...

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim."""
        ...

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Delete the answers of an owner, of a model, or all; return their number."""
        ...


class DataCipher(Protocol):
    """Encrypts stored data: files, answers, jobs. Each caller's data has keys of its own."""

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        """Return ``plaintext`` encrypted under a key of ``owner``, the caller's id.

        ``purpose`` names the place of storage (``b"cache:" + key``): data encrypted for one place
        can't be read as another's. Pieces have at most 1 MiB, so that the event loop is never
        blocked. Raises DataKeyError if there is no key.
        """
        ...

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        """Return the plaintext. Raises DataKeyError if the key is gone or the bytes differ."""
        ...

    async def erase(self, owner: str) -> bool:
        """Delete the owner's keys, and tell whether there were any.

        Data that was encrypted for the owner can't be read any more, wherever it is; data encrypted
        afterwards has new keys. Raises DataKeyError if the keys can't be reached.
        """
        ...


class WebhookSender(Protocol):
    """Sends events to callers' servers."""

    def check(self, url: str) -> None:
        """Raise WebhookUrlNotAllowedError if events may not be sent to ``url``.

        Raises WebhooksDisabledError if webhooks are off.
        """
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookReply:
        """Make one attempt to send an event to ``url``, and return its outcome; raises nothing."""
        ...


class BatchJobs(Protocol):
    """Batch jobs of the model's own platform. Every method raises UpstreamError."""

    async def write(
        self, job: BatchJobName, requests: AsyncIterator[tuple[int, ModelRequest]]
    ) -> int:
        """Write the job's records, each under its number; return their number.

        Records that are written again replace the earlier ones. Raises BatchEngineError if there
        are more than a job takes.
        """
        ...

    async def start(self, job: BatchJobName) -> str:
        """Start the job on the written records and return its id.

        A second call with the same token returns the job of the first one.
        """
        ...

    async def status(self, job_id: str) -> BatchJob:
        """Return the state of the job."""
        ...

    async def stop(self, job_id: str) -> None:
        """Ask the job to stop; a job that has already ended is unchanged."""
        ...

    def results(self, job: BatchJobName, job_id: str) -> AsyncIterator[RecordResult]:
        """Yield the available results in any order, one line of the output at a time."""
        ...

    async def counts(self, job: BatchJobName, job_id: str) -> RecordCounts | None:
        """Return the expected number of results; None if it is unknown."""
        ...

    async def remove(self, job: BatchJobName) -> None:
        """Delete the job's records and results."""
        ...


class WorkQueue(Protocol):
    """Stores work and its results until they are fetched, for all workers together.

    Leases, results and states change in one transaction. A worker that dies holds its items for no
    longer than a lease; then any worker can take them. So an item may be done twice, but only its
    first result counts. Every method raises WorkQueueError if the store can't be used.
    """

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Store a new ``group`` and its first ``work`` in one step."""
        ...

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add ``work`` to a group; existing positions are unchanged."""
        ...

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group; None if ``owner`` does not have it."""
        ...

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups that follow the group ``after``, newest first."""
        ...

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return every owner's groups with work left to do, oldest first."""
        ...

    async def change(self, group: WorkGroup) -> bool:
        """Store status, body, activity and expiry of ``group``.

        Returns False and changes nothing if the group was changed since its version was read.
        """
        ...

    async def lease(
        self,
        worker: str,
        kinds: Collection[WorkKind],
        limit: int,
        without: Collection[str] = (),
    ) -> tuple[Leased, ...]:
        """Lease waiting items to ``worker``.

        Callers share fairly: the next item belongs to the caller with the fewest leased items. One
        caller's items are leased in the order of their groups, then of their positions. Items of
        the callers in ``without`` are not leased.
        """
        ...

    async def renew(self, worker: str) -> frozenset[int]:
        """Renew all leases of ``worker``, and return the ids of the items that it still holds."""
        ...

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that ``worker`` still holds, without renewing leases."""
        ...

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Store results and return how many count; an item's first result is the one that does."""
        ...

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Return items to the queue, to be leased again later."""
        ...

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel the waiting items of a group, with ``leased`` those in progress too."""
        ...

    async def counts(self, group: str) -> GroupCounts:
        """Return the numbers of a group's items by state."""
        ...

    async def has_open(self, group: str) -> bool:
        """Tell whether any item of a group may still be answered."""
        ...

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return at most ``limit`` items after the position ``after``, in order."""
        ...

    async def clear(self, group: str) -> None:
        """Delete the group's items and their results, but not the group."""
        ...

    async def forget(self, owner: str, group: str) -> None:
        """Delete the group and everything that belongs to it."""
        ...

    async def expire(self) -> int:
        """Delete expired groups, and return their number."""
        ...

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the number of waiting items by kind."""
        ...


class FileStore(Protocol):
    """Stores bytes under ids, separately for each caller.

    Every method raises FileStoreError if the store can't be used, and StorageFullError if it is
    full.
    """

    async def write(self, owner: str, file_id: str, pieces: AsyncIterator[bytes]) -> int:
        """Store the bytes of ``pieces`` and return their number; store nothing if ``pieces`` fails.

        An earlier file with the same id is replaced at the end, in one step.
        """
        ...

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        """Store the facts of a file, which is listed from then on."""
        ...

    async def facts(self, owner: str, file_id: str) -> bytes | None:
        """Return the facts of a file; None if there is none."""
        ...

    def read(self, owner: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to, and not including, ``end``.

        Raises FileNotFoundHereError if there are none.
        """
        ...

    async def sizes(self, owner: str) -> Mapping[str, int]:
        """Return the number of bytes stored under each of the owner's ids.

        An id that has only facts has 0.
        """
        ...

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file and its facts, and tell whether there was one."""
        ...

    async def expire(self, now: float) -> int:
        """Delete the expired files of all callers, and return their number."""
        ...

    async def presigned(
        self, owner: str, file_id: str, size: int, seconds: int
    ) -> PresignedForm | None:
        """Return a form with which anyone can upload ``size`` bytes; None if the store has none."""
        ...
