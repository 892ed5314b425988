"""Answers for an Idempotency-Key that several processes share, made by one of them at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from os import urandom
from typing import TypeVar, cast

import structlog

from app.domain.cache import Place
from app.domain.errors import AnswerStoreError, DataKeyError, IdempotencyConflictError
from app.domain.ports import AnswerStore, DataCipher
from app.services.concurrency import answer_codec
from app.services.concurrency.claim import CLAIM, Claim

T = TypeVar("T")

MOST = 2**20
"""Bytes of an answer that is kept: a cipher takes no more at once."""

log = structlog.get_logger()


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
    ) -> T:
        """Return the answer that any process has for the caller's ``key``, or make it.

        Raises IdempotencyConflictError where the key was used for another ``digest``. While
        another process makes the answer, this one waits for it.
        """
        place = _place(caller, key)
        # More than one task of this process may ask: after a call was given up, say.
        holder = f"{self.holder}/{urandom(8).hex()}"
        claim = Claim(
            partial(self.store.claim, place, holder, CLAIM), partial(self._release, place, holder)
        )
        try:
            kept = await claim.others_answer(partial(self._kept, caller, place, digest))
        except AnswerStoreError as error:
            log.warning("idempotent answers not shared", reason=type(error).__name__)
            return await make()
        if kept is not None:
            return cast("T", kept)
        async with claim.renewed():
            answer = await make()
            await self._keep(caller, place, digest, answer)
            return answer

    async def erase(self, caller: str) -> int:
        """Forget the caller's answers, and return how many, or raise AnswerStoreError."""
        return await self.store.purge(_tag(caller), None)

    async def _kept(self, caller: str, place: Place, digest: bytes) -> object | None:
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
            return cast("object", answer_codec.decoded(answer))
        except (DataKeyError, ValueError) as error:
            log.warning("idempotent answer not read", reason=type(error).__name__)
            return None

    async def _keep(self, caller: str, place: Place, digest: bytes, answer: object) -> None:
        """Keep the answer, or log why not: it is paid for and goes to its asker all the same."""
        try:
            plain = digest + answer_codec.encoded(answer)
            if len(plain) > MOST:
                log.warning("idempotent answer not shared", reason="over 1 MiB")
                return
            data = await self.cipher.encrypt(caller, plain, _purpose(place))
            await self.store.put(place, data, self.seconds)
        except (AnswerStoreError, DataKeyError, TypeError) as error:
            log.warning("idempotent answer not shared", reason=type(error).__name__)

    async def _release(self, place: Place, holder: str) -> None:
        try:
            await self.store.release(place, holder)
        except AnswerStoreError as error:
            log.warning("idempotent answers not shared", reason=type(error).__name__)


def _tag(name: str) -> str:
    return sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _place(caller: str, key: str) -> Place:
    both = f"{len(caller)}:{caller}{key}".encode("utf-8", "replace")
    return Place(sha256(both).hexdigest(), _tag(caller), "idempotent")


def _purpose(place: Place) -> bytes:
    return b"idempotent:" + place.key.encode()
