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
"""Takes a change of access or configuration, by its kind and facts, for the audit log."""


def unnoted(kind: str, facts: Mapping[str, Any]) -> None:
    """Note nothing; where there is no audit log."""


class VisionModel(Protocol):
    """A Llama Vision model."""

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request`` in one call, or raise an `app.domain.errors.UpstreamError`."""
        ...

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request`` piece by piece.

        Entering awaits the upstream's first event, so a refusal is raised there and not in
        the middle. Iterating yields `Delta`s and exactly one `Finish`, the last: each time those
        that arrived together, as handing on many costs no more than handing on one. If the
        upstream ends without a `Finish` it raises StreamTruncatedError, and UpstreamError for
        every other failure. Leaving closes the upstream, wherever the stream stands.
        """
        ...


class Retriever(Protocol):
    """Finds chunks of documents in knowledge bases."""

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Return the chunks found, best first, or raise an `app.domain.errors.UpstreamError`.

        At most ``query.results`` chunks, none where nothing was found.
        """
        ...


class ImagePreparer(Protocol):
    """Prepares any picture for the model."""

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return the report of the picture as received and as prepared, or raise an ImageError."""
        ...


class Arrival(Protocol):
    """Room for a picture being fetched, taken as it arrives."""

    async def grow_to(self, size: int) -> None:
        """Return when there is room for ``size`` bytes in all, or raise OverloadedError."""
        ...


RemoteT_contra = TypeVar("RemoteT_contra", contravariant=True)


class ImageSource(Protocol[RemoteT_contra]):
    """Fetches pictures of one kind of name: `UrlImage`, `S3Image` or `FileImage`."""

    async def fetch(self, image: RemoteT_contra, arrival: Arrival) -> ReceivedImage:
        """Return the bytes within the source's bounds of size and time, or raise an ImageError.

        Each piece has room by ``arrival``; waiting for that does not count as the source's time.
        """
        ...


class Readiness(Protocol):
    """Whether the upstream could be called, found out without spending anything."""

    async def check(self) -> None:
        """Check the upstream, or raise NotReadyError, which says what is missing."""
        ...


class Authenticator(Protocol):
    """Identifies callers."""

    async def authenticate(self, credential: str | None) -> Caller:
        """Return the holder of ``credential``, or raise an AccessError.

        ``credential`` is a key or token as it was sent, None where none was.
        """
        ...

    def current(self, caller: Caller) -> Caller:
        """Return an earlier caller as it is now, or raise CredentialsInvalidError.

        Deferred work checks its caller's rights again. A token's holder has the rights that the
        token had then; a revoked or removed key has no holder.
        """
        ...


class UsageStore(Protocol):
    """Keeps usage by day, model, caller and task, for every replica together."""

    async def add(self, batch: UsageBatch) -> None:
        """Add to what is kept, all rows or none, or raise UsageStoreError.

        After an error either may be the case: one writer's last batch, given again, counts once.
        """
        ...

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the rows asked for, oldest first, or raise UsageStoreError."""
        ...


class TokenCounter(Protocol):
    """Counts a prompt's tokens without asking the model."""

    async def count(self, request: ModelRequest) -> TokenCount:
        """Return the tokens of the whole prompt, template and pictures included."""
        ...


class RateLimiter(Protocol):
    """Counts callers' use of their quotas, for all replicas together or for one process."""

    async def take(
        self, holder: str, quotas: tuple[Quota, ...], amount: int
    ) -> tuple[QuotaStatus, ...]:
        """Take ``amount`` of every quota and return what is left, or take of none.

        Raises RateLimitedError, which names the quota, or LimiterUnavailableError.
        """
        ...

    async def settle(self, holder: str, taken: tuple[QuotaStatus, ...], difference: int) -> None:
        """Count ``difference`` more, or less where negative, in the windows that were taken of.

        One that has ended is left alone. Raises LimiterUnavailableError.
        """
        ...


class Guardrail(Protocol):
    """Judges texts and pictures, whichever guardrail a policy names."""

    async def assess(self, content: Content, policy: GuardrailPolicy) -> Assessment:
        """Return the verdict on all of ``content`` together.

        Raises GuardrailUnavailableError where there is none: the guardrail can't be reached, does
        not exist, or answers what can't be read.
        """
        ...


class AnswerStore(Protocol):
    """Keeps answers as opaque bytes, bounded and for a time.

    Every method raises AnswerStoreError where the store can't be used.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes see the same answers."""
        ...

    async def get(self, place: Place) -> bytes | None:
        """Return the unexpired entry at a place, or None."""
        ...

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Keep ``data`` for ``seconds``, in place of an earlier entry."""
        ...

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Return whether ``holder`` makes the answer, for the next ``seconds``.

        The holder may claim again, to extend it.
        """
        ...

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim."""
        ...

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Forget the answers of an owner, of a model, or all; return how many."""
        ...


class DataCipher(Protocol):
    """Encrypts kept data: files, answers, jobs. Each caller's data has keys of its own."""

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        """Return ``plaintext`` encrypted under a key of ``owner``, the caller's id.

        ``purpose`` says where it is kept (``b"cache:" + key``): data encrypted for one place can't
        be read as another's. Pieces of at most 1 MiB, so that the loop is never held up.
        Raises DataKeyError where there is no key.
        """
        ...

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        """Return the plaintext, or raise DataKeyError: the key is gone or the bytes changed."""
        ...

    async def erase(self, owner: str) -> bool:
        """Drop the owner's keys, and return whether there were any.

        Data that was encrypted for it can't be read any more, wherever it is; data encrypted
        afterwards has new keys. Raises DataKeyError where the keys can't be reached.
        """
        ...


class WebhookSender(Protocol):
    """Sends events to callers' servers."""

    def check(self, url: str) -> None:
        """Check that events may go to ``url``, or raise WebhookUrlNotAllowedError.

        Raises WebhooksDisabledError where they may go nowhere.
        """
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookReply:
        """Make one attempt to send an event to ``url``; nothing is raised."""
        ...


class BatchJobs(Protocol):
    """Batch jobs of the model's own platform. Every method raises UpstreamError."""

    async def write(
        self, job: BatchJobName, requests: AsyncIterator[tuple[int, ModelRequest]]
    ) -> int:
        """Write the job's records, each under its number; return how many.

        Written again, they replace what is there. Raises BatchEngineError where they are more
        than one job takes.
        """
        ...

    async def start(self, job: BatchJobName) -> str:
        """Start the job over the records that were written and return its id.

        Asked again with the same token, it finds the job that an earlier call made.
        """
        ...

    async def status(self, job_id: str) -> BatchJob:
        """Return the state of the job."""
        ...

    async def stop(self, job_id: str) -> None:
        """Ask the job to stop; one that has ended already is left alone."""
        ...

    def results(self, job: BatchJobName, job_id: str) -> AsyncIterator[RecordResult]:
        """Yield the results there are, in any order, one line of the output at a time."""
        ...

    async def counts(self, job: BatchJobName, job_id: str) -> RecordCounts | None:
        """Return the expected number of results, None where it is unknown."""
        ...

    async def remove(self, job: BatchJobName) -> None:
        """Delete the job's records and results."""
        ...


class WorkQueue(Protocol):
    """Keeps work and its results until they are fetched, for all workers together.

    Leases, results and states change in one transaction. A worker that dies holds its items no
    longer than a lease; then any worker has them. An item may so be done twice, but it has one
    result: the first. Every method raises WorkQueueError where the store can't be used.
    """

    async def open(self, group: WorkGroup, work: Sequence[NewWork] = ()) -> None:
        """Keep a new ``group`` and its first ``work``, together."""
        ...

    async def put(self, group: WorkGroup, work: Sequence[NewWork]) -> None:
        """Add ``work`` to a group; positions that are there already stay as they are."""
        ...

    async def group(self, owner: str, group: str) -> WorkGroup | None:
        """Return the group, None where ``owner`` has none such."""
        ...

    async def groups(
        self, owner: str, kind: WorkKind, limit: int, after: str | None = None
    ) -> tuple[WorkGroup, ...]:
        """Return the owner's groups, newest first, those behind the group ``after``."""
        ...

    async def active(self, kind: WorkKind) -> tuple[WorkGroup, ...]:
        """Return every owner's groups with work left to do, oldest first."""
        ...

    async def change(self, group: WorkGroup) -> bool:
        """Keep status, body, activity and expiry of ``group``.

        Returns False, and changes nothing, where it was changed since its version was read.
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

        Callers share: the next item is one of the caller who has the fewest leased. One caller's
        items come in the order of their groups, then of their positions. Those of callers in
        ``without`` are left.
        """
        ...

    async def renew(self, worker: str) -> frozenset[int]:
        """Prolong all leases of ``worker``, and return the ids of the items it still holds."""
        ...

    async def held(self, worker: str) -> frozenset[int]:
        """Return the ids of the items that ``worker`` still holds, without prolonging."""
        ...

    async def finish(self, finished: Sequence[Finished]) -> int:
        """Keep results; returns how many count. Of an item that has one already, the first does."""
        ...

    async def postpone(self, postponed: Sequence[Postponed]) -> None:
        """Give items back, to be leased again later."""
        ...

    async def cancel(self, owner: str, group: str, *, leased: bool) -> int:
        """Cancel the waiting items of a group, and with ``leased`` those being done too."""
        ...

    async def counts(self, group: str) -> GroupCounts:
        """Return how far a group has come."""
        ...

    async def has_open(self, group: str) -> bool:
        """Return whether any item of a group may still be answered."""
        ...

    async def results(
        self, owner: str, group: str, after: int, limit: int
    ) -> tuple[WorkResult, ...]:
        """Return items by position, those behind the position ``after``, at most ``limit``."""
        ...

    async def clear(self, group: str) -> None:
        """Forget the group's items and their results, but not the group."""
        ...

    async def forget(self, owner: str, group: str) -> None:
        """Forget the group and all that belongs to it."""
        ...

    async def expire(self) -> int:
        """Forget expired groups, and return how many."""
        ...

    async def depths(self) -> dict[WorkKind, QueueDepth]:
        """Return the number of waiting items by kind."""
        ...


class FileStore(Protocol):
    """Keeps bytes under ids, each caller's apart.

    Every method raises FileStoreError where the store can't be used, and StorageFullError where
    there is no room.
    """

    async def write(self, owner: str, file_id: str, pieces: AsyncIterator[bytes]) -> int:
        """Keep the bytes of ``pieces`` and return their number; keep nothing where they fail.

        An earlier file of the id is replaced at the end, in one step.
        """
        ...

    async def describe(self, owner: str, file_id: str, facts: bytes) -> None:
        """Keep the facts of a file. From then on it is listed."""
        ...

    async def facts(self, owner: str, file_id: str) -> bytes | None:
        """Return the facts of a file, None where there is none."""
        ...

    def read(self, owner: str, file_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to ``end``, which is not read.

        Raises FileNotFoundHereError where there are none.
        """
        ...

    async def sizes(self, owner: str) -> Mapping[str, int]:
        """Return the bytes kept under each of the owner's ids."""
        ...

    async def delete(self, owner: str, file_id: str) -> bool:
        """Delete a file and its facts, and return whether there was one."""
        ...

    async def expire(self, now: float) -> int:
        """Delete all callers' expired files, and return how many."""
        ...

    async def presigned(
        self, owner: str, file_id: str, size: int, seconds: int
    ) -> PresignedForm | None:
        """Return a form by which anyone can put ``size`` bytes there; None where there is none."""
        ...
