"""Answers for an Idempotency-Key that several processes share, made by one of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from os import urandom
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from app.domain.cache import Place
from app.domain.errors import AnswerStoreError, DataKeyError, IdempotencyConflictError
from app.domain.ports import AnswerStore, DataCipher
from app.services.concurrency import answer_codec
from app.services.concurrency.claim import CLAIM, Claim
from app.telemetry import current
from app.telemetry.trail import Facts, Trail

T = TypeVar("T")

MOST = 2**20
"""Bytes of an answer that is kept: a cipher takes no more at once."""

_UNFIT = (TypeError, ValueError, RecursionError)
"""Errors of the codec for an answer that it can't represent."""

log = structlog.get_logger()


class SharedAnswer(NamedTuple, Generic[T]):
    """An answer, and whether all replicas have it."""

    answer: T
    kept: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored answer with its trail."""

    answer: Any
    calls: list[Facts]
    images: list[Facts]
    verdicts: list[Facts]


@dataclass(frozen=True, slots=True)
class SharedAnswers:
    """Keeps answers encrypted in a store of all replicas; without it each makes its own."""

    store: AnswerStore
    cipher: DataCipher
    seconds: float = 600
    holder: str = field(default_factory=lambda: urandom(8).hex())
    """This process's name for its claims."""

    async def share(
        self, caller: str, key: str, digest: bytes, make: Callable[[], Awaitable[T]]
    ) -> SharedAnswer[T]:
        """Return the answer that any process has for the caller's ``key``, or make it.

        Raises IdempotencyConflictError if the key was used for another ``digest``. While
        another process makes the answer, this one waits for it.
        """
        place = _place(caller, key)
        # More than one task of this process may ask, for example after a call was given up.
        holder = f"{self.holder}/{urandom(8).hex()}"
        claim = Claim(
            partial(self.store.claim, place, holder, CLAIM), partial(self._release, place, holder)
        )
        try:
            kept = await claim.others_answer(partial(self._kept, caller, place, digest))
        except AnswerStoreError as error:
            log.warning("idempotent answers not shared", reason=type(error).__name__)
            return SharedAnswer(await make(), kept=False)
        if kept is not None:
            _prove(kept)
            return SharedAnswer(kept.answer, kept=True)
        async with claim.renewed():
            answer = await make()
            return SharedAnswer(answer, await self._keep(caller, place, digest, answer))

    async def keeps(self, caller: str, key: str) -> bool:
        """Return whether a stored answer still exists; True if the store fails."""
        try:
            return await self.store.get(_place(caller, key)) is not None
        except AnswerStoreError:
            return True

    async def erase(self, caller: str) -> int:
        """Delete the caller's answers and return how many, or raise AnswerStoreError."""
        return await self.store.purge(_tag(caller), None)

    async def _kept(self, caller: str, place: Place, digest: bytes) -> Kept | None:
        data = await self.store.get(place)
        if data is None:
            return None
        try:
            plain = await self.cipher.decrypt(caller, data, _purpose(place))
            own, answer = plain[: len(digest)], plain[len(digest) :]
            if own != digest:
                raise IdempotencyConflictError(
                    "The Idempotency-Key was used for another request; use a new key."
                )
            kept = await asyncio.to_thread(answer_codec.decoded, answer)
            return kept if isinstance(kept, Kept) else None
        except (DataKeyError, ValueError) as error:
            log.warning("idempotent answer not read", reason=type(error).__name__)
            return None

    async def _keep(self, caller: str, place: Place, digest: bytes, answer: object) -> bool:
        """Store the answer, or log why not; its request gets the paid answer in any case."""
        trail = current().trail or Trail()
        kept = Kept(answer, trail.calls, trail.images, trail.verdicts)
        try:
            plain = digest + await asyncio.to_thread(answer_codec.encoded, kept)
            if len(plain) > MOST:
                log.warning("idempotent answer not shared", reason="over 1 MiB")
                return False
            data = await self.cipher.encrypt(caller, plain, _purpose(place))
            await self.store.put(place, data, self.seconds)
            return True
        except (AnswerStoreError, DataKeyError, *_UNFIT) as error:
            log.warning("idempotent answer not shared", reason=type(error).__name__)
            return False

    async def _release(self, place: Place, holder: str) -> None:
        try:
            await self.store.release(place, holder)
        except AnswerStoreError as error:
            log.warning("idempotent answers not shared", reason=type(error).__name__)


def _prove(kept: Kept) -> None:
    """Note another request's trail on the running request's."""
    trail = current().trail
    if trail is not None:
        trail.add(Trail(kept.calls, kept.images, kept.verdicts), shared=True)


def _tag(name: str) -> str:
    return sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _place(caller: str, key: str) -> Place:
    both = f"{len(caller)}:{caller}{key}".encode("utf-8", "replace")
    return Place(sha256(both).hexdigest(), _tag(caller), "idempotent")


def _purpose(place: Place) -> bytes:
    return b"idempotent:" + place.key.encode()
