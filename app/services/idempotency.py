"""Requests with the same Idempotency-Key share one call of the model."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from app.domain.errors import IdempotencyConflictError
from app.domain.generation import Generation, GenerationRequest, ImageInput
from app.domain.image import Base64Image, ImageReport, ReceivedImage, S3Image, UrlImage

Key = tuple[str, str]
"""Caller and Idempotency-Key: callers don't see each other's answers."""


@dataclass(slots=True)
class _Shared:
    digest: bytes
    task: asyncio.Task[Generation]
    expires: float
    waiting: int = 0


@dataclass(slots=True)
class IdempotentAnswers:
    """Keeps answers in memory, for a bounded time and in a bounded number."""

    seconds: float = 600
    most: int = 1000
    _shared: "OrderedDict[Key, _Shared]" = field(default_factory=OrderedDict)

    async def share(
        self,
        request: GenerationRequest,
        key: str,
        generate: Callable[[GenerationRequest], Awaitable[Generation]],
    ) -> Generation:
        """Return the answer that ``key`` has, or make it.

        Raises IdempotencyConflictError where ``key`` was used for another request. A failure
        is shared by those who wait for it and then forgotten. The call goes on while anyone
        waits for it.
        """
        digest = await asyncio.to_thread(fingerprint, request)
        self._forget_expired()
        shared = self._find((request.terms.caller, key), digest)
        if shared is None:
            shared = self._begin((request.terms.caller, key), digest, generate(request))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                shared.task.cancel()
                # At once: who comes while it winds up must not be cancelled with it.
                self._forget((request.terms.caller, key), shared)

    def _find(self, key: Key, digest: bytes) -> _Shared | None:
        shared = self._shared.get(key)
        if shared is not None and shared.digest != digest:
            raise IdempotencyConflictError(
                "The Idempotency-Key was used for a request with another body; use a new key."
            )
        return shared

    def _begin(self, key: Key, digest: bytes, answer: Awaitable[Generation]) -> _Shared:
        async def run() -> Generation:
            return slim(await answer)

        expires = asyncio.get_running_loop().time() + self.seconds
        shared = self._shared[key] = _Shared(digest, asyncio.create_task(run()), expires)

        def ended(task: asyncio.Task[Generation]) -> None:
            if task.cancelled() or task.exception():
                self._forget(key, shared)

        shared.task.add_done_callback(ended)
        return shared

    def _forget(self, key: Key, shared: _Shared) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]

    def _forget_expired(self) -> None:
        now = asyncio.get_running_loop().time()
        # Oldest first; those still being made are never forgotten.
        for key, shared in list(self._shared.items()):
            if shared.expires > now and len(self._shared) < self.most:
                return
            if shared.task.done():
                del self._shared[key]


def slim(generation: Generation) -> Generation:
    """Return ``generation`` without its pictures' bytes, which no answer shows."""
    return replace(
        generation,
        images=tuple(map(_slim_report, generation.images)),
        parts=tuple(
            replace(part, generation=part.generation and slim(part.generation))
            for part in generation.parts
        ),
    )


def _slim_report(report: ImageReport) -> ImageReport:
    return replace(report, prepared=replace(report.prepared, data=b""))


def fingerprint(request: GenerationRequest) -> bytes:
    """Digest all that decides the answer, but not the terms it is asked on."""
    digest = sha256()
    for turn in request.turns:
        digest.update(repr((turn.role, turn.text, len(turn.images))).encode("utf-8", "replace"))
        for image in turn.images:
            digest.update(_content(image))
    outline = (
        request.system,
        request.sampling,
        request.language,
        request.raw_prompt,
        request.strategy,
        request.stop,
    )
    digest.update(repr(outline).encode("utf-8", "replace"))
    return digest.digest()


def _content(image: ImageInput) -> bytes:
    match image:
        case Base64Image():
            content = image.text.encode("utf-8", "replace")
        case ReceivedImage():
            content = image.data
        case UrlImage() | S3Image():
            # By its name: what it names is not fetched yet.
            return sha256(repr(replace(image, name="")).encode("utf-8", "replace")).digest()
    return sha256(content).digest() + repr(image.declared_type).encode()
