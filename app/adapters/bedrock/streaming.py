"""What both dialects' streams have in common."""

from collections.abc import AsyncIterator

from app.domain.errors import StreamTruncatedError
from app.domain.generation import StreamParts


async def primed(parts: AsyncIterator[StreamParts]) -> AsyncIterator[StreamParts]:
    """Await the first parts, so that a refusal is raised here, and return all of them."""
    first = await anext(parts)

    async def all_of_them() -> AsyncIterator[StreamParts]:
        yield first
        async for part in parts:
            yield part

    return all_of_them()


def check_finished(*, finished: bool) -> None:
    """Raise StreamTruncatedError where the upstream ended without its final chunk."""
    if not finished:
        raise StreamTruncatedError(
            "Amazon Bedrock ended the stream without its final chunk; the text may be incomplete."
        )
