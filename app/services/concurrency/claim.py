"""Claims in a store that processes share: one of them works, and the others wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from app.domain.errors import AnswerStoreError

log = structlog.get_logger()

T = TypeVar("T")

CLAIM = 30.0
"""Seconds that a claim lasts unless it is renewed: how long others wait for one that was killed."""
POLL = 0.05
"""Seconds between two looks at whether another process has the answer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One process's claim to make an answer that others wait for."""

    take: Callable[[], Awaitable[bool]]
    """Takes or renews the claim; returns whether it succeeded, or raises AnswerStoreError."""
    release: Callable[[], Awaitable[None]]
    """Releases the claim if this process holds it."""
    seconds: float = CLAIM
    """Seconds that the claim lasts."""

    async def others_answer(self, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return the answer that ``look`` finds once another process has made it.

        Returns None, with the claim taken, where no other is making it.
        """
        try:
            while not await self.take():
                answer = await look()
                if answer is not None:
                    return answer
                await asyncio.sleep(POLL)
            # The answer may have been stored between the last look and the claim.
            answer = await look()
        except BaseException:
            await self.release()
            raise
        if answer is not None:
            await self.release()
        return answer

    @asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """Renew the claim while the block runs, and release it at the end."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await self.release()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.seconds / 3)
            try:
                await self.take()
            except AnswerStoreError as error:
                log.warning("claim not renewed", reason=type(error).__name__)
