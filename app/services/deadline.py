"""One deadline for everything that one request waits for."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.domain.errors import DeadlineExceededError


@asynccontextmanager
async def before(deadline: float) -> AsyncIterator[None]:
    """Raise DeadlineExceededError where the block isn't through at ``deadline`` (loop time)."""
    try:
        async with asyncio.timeout_at(None if math.isinf(deadline) else deadline) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceededError(
            "The answer was not ready within the request's deadline. The model may have been "
            "called and billed."
        ) from error
