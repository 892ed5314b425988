"""The outside world as the use cases need it, in the domain's words.

Every port's fake is in ``tests/support``; one contract suite runs over the fake and the
adapter.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from app.domain.access import Caller
from app.domain.cache import Place
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.guardrail import Assessment, Content, GuardrailPolicy
from app.domain.image import ImageReport, ReceivedImage
from app.domain.limit import Quota, QuotaStatus
from app.domain.token import TokenCount
from app.domain.usage import UsageBatch, UsageQuery, UsageRow


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


class ImagePreparer(Protocol):
    """Makes any picture right for the model."""

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Return what was received and what was made of it, or raise an ImageError."""
        ...


class Arrival(Protocol):
    """Room for what is being fetched, taken as it comes."""

    async def grow_to(self, size: int) -> None:
        """Return when there is room for ``size`` bytes in all, or raise OverloadedError."""
        ...


RemoteT_contra = TypeVar("RemoteT_contra", contravariant=True)


class ImageSource(Protocol[RemoteT_contra]):
    """Fetches pictures of one kind of name: `UrlImage` or `S3Image`."""

    async def fetch(self, image: RemoteT_contra, arrival: Arrival) -> ReceivedImage:
        """Return the bytes within the source's bounds of size and time, or raise an ImageError.

        Each piece has room by ``arrival``; what is waited for that is none of the source's time.
        """
        ...


class Readiness(Protocol):
    """Whether the upstream could be called, found out without spending anything."""

    async def check(self) -> None:
        """Return, or raise NotReadyError, which says what is missing."""
        ...


class Authenticator(Protocol):
    """Tells who a caller is."""

    async def authenticate(self, credential: str | None) -> Caller:
        """Return whoever ``credential`` belongs to, or raise an AccessError.

        ``credential`` is a key or token as it was sent, None where none was.
        """
        ...


class UsageStore(Protocol):
    """Keeps usage by day, model, caller and task, for every replica together."""

    async def add(self, batch: UsageBatch) -> None:
        """Add to what is kept, all rows or none, or raise UsageStoreError.

        Then nobody may know which of the two it was: one writer's last batch, given again, counts
        once.
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
    """Counts what callers use of their quotas, for every replica together or for one process."""

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
    """Keeps answers as bytes that it does not understand, bounded and for a time.

    Every method raises AnswerStoreError where the store can't be used.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes see the same answers."""
        ...

    async def get(self, place: Place) -> bytes | None:
        """Return what is kept there and has not expired."""
        ...

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Keep ``data`` for so many seconds, in place of what was kept there."""
        ...

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Tell whether ``holder`` is the one who makes the answer, for so many seconds.

        The holder may claim again, to go on.
        """
        ...

    async def release(self, place: Place, holder: str) -> None:
        """End the holder's claim."""
        ...

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Forget the answers of an owner, of a model, or all; return how many."""
        ...


class DataCipher(Protocol):
    """Encrypts what is kept: files, answers, jobs. Each caller's data has keys of its own."""

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        """Return ``plaintext`` encrypted under a key of ``owner``, the caller's id.

        ``purpose`` says where it is kept (``b"cache:" + key``): what was encrypted for one place
        can't be read as another. Pieces of at most 1 MiB, so that the loop is never held up.
        Raises DataKeyError where no key is to be had.
        """
        ...

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        """Return the plaintext, or raise DataKeyError: the key is gone or the bytes changed."""
        ...
