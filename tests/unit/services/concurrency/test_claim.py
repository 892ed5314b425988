"""The claim of one process to make an answer that several want."""

import asyncio

import pytest

from app.domain.errors import AnswerStoreError
from app.services.concurrency.claim import Claim


class Store:
    """One claim and one answer."""

    def __init__(self, *, free: bool) -> None:
        self.free = free
        self.answer: str | None = None
        self.takes = self.releases = 0
        self.taken = asyncio.Event()
        self.renewed = asyncio.Event()

    async def take(self) -> bool:
        self.takes += 1
        self.taken.set()
        if self.takes == 3:
            self.renewed.set()
        return self.free

    async def release(self) -> None:
        self.releases += 1

    async def look(self) -> str | None:
        return self.answer

    def claim(self) -> Claim:
        return Claim(self.take, self.release, seconds=0.003)


async def test_an_answer_being_made_by_another_process_is_waited_for():
    store = Store(free=False)
    waiting = asyncio.create_task(store.claim().others_answer(store.look))
    await store.taken.wait()
    store.answer = "42"

    assert await waiting == "42"


async def test_a_claim_is_released_if_the_answer_was_stored_meanwhile():
    store = Store(free=True)
    store.answer = "42"

    assert await store.claim().others_answer(store.look) == "42"
    assert store.releases == 1


async def test_a_claim_is_released_if_its_taker_is_cancelled_meanwhile():
    store = Store(free=True)
    store.look = asyncio.Event().wait  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(store.claim().others_answer(store.look))
    await store.taken.wait()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert store.releases == 1


async def test_a_claim_is_renewed_despite_one_store_failure_and_released_at_the_end():
    store = Store(free=True)

    async def failing_once() -> bool:
        if await store.take() and store.takes == 1:
            raise AnswerStoreError("gone")
        return True

    async with Claim(failing_once, store.release, seconds=0.003).renewed():
        await store.renewed.wait()
        assert store.releases == 0

    assert store.releases == 1
