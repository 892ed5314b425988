"""Shares one answer, and its cost, among requests with the same Idempotency-Key."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeVar

from app.domain.errors import IdempotencyConflictError, ServiceError
from app.domain.generation import CallContext, Generation, GenerationRequest, ImageInput
from app.domain.image import Base64Image, FileImage, ImageReport, ReceivedImage, S3Image, UrlImage
from app.services.concurrency.deadline import Drain
from app.services.concurrency.recorded_flight import RecordedFlight
from app.services.concurrency.shared_answers import SharedAnswers

T = TypeVar("T")

Key = tuple[str, str]
"""Caller and Idempotency-Key: callers don't see each other's answers."""


@dataclass(slots=True)
class _Shared:
    digest: bytes
    flight: RecordedFlight[Any]
    expires: float
    kept: bool = False
    """Whether all replicas share the answer, so that any of them may have erased it."""


@dataclass(slots=True)
class IdempotentAnswers:
    """Keeps answers in memory, for a bounded time and in a bounded number.

    Where there are too many, the oldest of the caller with the most is forgotten: a caller's keys
    never push out the answers of one with fewer.
    """

    drain: Drain
    longest: float
    """Seconds that an answer may take, whatever the first request's deadline: a later one may wait
    for it longer."""
    seconds: float = 600
    most: int = 1000
    shared: SharedAnswers | None = None
    """The answers that replicas share; None if each keeps its own."""
    _shared: "OrderedDict[Key, _Shared]" = field(default_factory=OrderedDict)
    """Answers by caller and key, the oldest first."""
    _keys: dict[str, dict[Key, None]] = field(default_factory=dict)
    """The keys of each caller, the oldest first."""

    async def share(
        self, call_context: CallContext, digest: bytes, make: Callable[[CallContext], Awaitable[T]]
    ) -> T:
        """Return the answer to the key in ``call_context``, or make it for all its requests.

        Raises IdempotencyConflictError if the key was used for another ``digest``, and
        DeadlineExceededError at the end of the caller's own time. A failure is shared by the
        waiting requests and then forgotten. The call goes on while any of them waits; its cost is
        reported to one of them.
        """
        assert call_context.idempotency_key is not None
        key = call_context.caller, call_context.idempotency_key
        self._forget_expired()
        async with self.drain.before(call_context.deadline):
            await self._forget_erased(key)
            shared = self._find(key, digest) or self._begin(key, digest, call_context, make)
            try:
                answer: T = await shared.flight.join()
                return answer
            finally:
                if not shared.flight.outcome.done() and shared.flight.over:
                    # Removed at once: no new request may join work that is being cancelled.
                    self._forget(key, shared)

    async def erase(self, caller: str) -> int:
        """Delete the caller's complete answers, and return how many."""
        kept = self._keys.get(caller, ())
        keys = [key for key in kept if self._shared[key].flight.outcome.done()]
        for key in keys:
            self._forget(key, self._shared[key])
        return len(keys) if self.shared is None else await self.shared.erase(caller)

    async def _forget_erased(self, key: Key) -> None:
        """Forget the answer if another replica has erased it."""
        shared = self._shared.get(key)
        if shared is None or self.shared is None or not shared.kept:
            return
        if not await self.shared.keeps(*key):
            self._forget(key, shared)

    def _find(self, key: Key, digest: bytes) -> _Shared | None:
        shared = self._shared.get(key)
        if shared is not None and shared.digest != digest:
            raise IdempotencyConflictError(
                "The Idempotency-Key was used for another request; use a new key."
            )
        return shared

    def _begin(
        self,
        key: Key,
        digest: bytes,
        call_context: CallContext,
        make: Callable[[CallContext], Awaitable[T]],
    ) -> _Shared:
        now = asyncio.get_running_loop().time()
        call_context = replace(call_context, idempotency_key=None, deadline=now + self.longest)

        async def work() -> T:
            if self.shared is None:
                return await make(call_context)
            answered = await self.shared.share(*key, digest, lambda: make(call_context))
            shared.kept = answered.kept
            return answered.answer

        shared = _Shared(digest, RecordedFlight(work), now + self.seconds)
        self._shared[key] = shared
        self._keys.setdefault(key[0], {})[key] = None

        def ended(outcome: "asyncio.Future[T]") -> None:
            if outcome.cancelled() or outcome.exception():
                self._forget(key, shared)

        shared.flight.outcome.add_done_callback(ended)
        return shared

    def _forget(self, key: Key, shared: _Shared) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]
            keys = self._keys[key[0]]
            del keys[key]
            if not keys:
                del self._keys[key[0]]

    def _forget_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        # Answers in progress are never forgotten.
        while self._shared:
            key, shared = next(iter(self._shared.items()))
            if shared.expires > now or not shared.flight.outcome.done():
                break
            self._forget(key, shared)
        if len(self._shared) >= self.most:
            self._make_room()

    def _make_room(self) -> None:
        for keys in sorted(self._keys.values(), key=len, reverse=True):
            for key in keys:
                shared = self._shared[key]
                if shared.flight.outcome.done():
                    self._forget(key, shared)
                    return


def slim(generation: Generation) -> Generation:
    """Return ``generation`` without its pictures' bytes, which no answer shows."""
    if not generation.images and not generation.parts:
        return generation
    return replace(
        generation,
        images=tuple(map(_slim_report, generation.images)),
        parts=tuple(
            replace(
                part,
                generation=part.generation and slim(part.generation),
                error=part.error and _slim_error(part.error),
            )
            for part in generation.parts
        ),
    )


def _slim_error(error: ServiceError) -> ServiceError:
    """Return ``error`` without its traceback, whose frames hold the picture."""
    kept = type(error)(error.detail)
    vars(kept).update(vars(error))
    return kept


def _slim_report(report: ImageReport) -> ImageReport:
    prepared = report.prepared
    return replace(report, prepared=replace(prepared, data=b"", digest=prepared.sha256))


def fingerprint(request: GenerationRequest) -> bytes:
    """Hash everything that affects the answer, but not the call's other options."""
    outline = (
        [(turn.role, turn.text, len(turn.images)) for turn in request.turns],
        request.system,
        request.sampling,
        request.language,
        request.raw_prompt,
        request.strategy,
        request.stop,
        request.form,
        request.logprobs,
        request.call_context.guardrail,
    )
    return digested(outline, [image for turn in request.turns for image in turn.images])


def digested(outline: object, images: Iterable[ImageInput]) -> bytes:
    """Hash the ``repr`` of an ``outline`` and the pictures' contents."""
    digest = sha256(repr(outline).encode("utf-8", "replace"))
    for image in images:
        digest.update(_content(image))
    return digest.digest()


def _content(image: ImageInput) -> bytes:
    match image:
        case Base64Image():
            content = image.text.encode("utf-8", "replace")
        case ReceivedImage():
            content = image.data
        case UrlImage() | S3Image() | FileImage():
            # By its name, as it is not fetched yet.
            return sha256(repr(replace(image, name="")).encode("utf-8", "replace")).digest()
    return sha256(content).digest() + repr(image.declared_type).encode()
