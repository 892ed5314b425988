"""Claims in a store of several processes: one of them works, the others wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

CLAIM = 30.0
"""Seconds that a claim lasts unless it is renewed: how long others wait for one that was killed."""
POLL = 0.05
"""Seconds between two looks at whether another process has the answer."""


@asynccontextmanager
async def renewed(claim: Callable[[], Awaitable[object]], seconds: float) -> AsyncIterator[None]:
    """Ask for a claim of ``seconds`` again and again until the block is left."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            await claim()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
