"""Pagination of a caller's groups on the queue."""

from app.domain.errors import InvalidParameterError
from app.domain.ports import WorkQueue


async def check_after(queue: WorkQueue, owner: str, after: str | None) -> None:
    """Check that the caller has a group ``after``, or raise InvalidParameterError.

    An unknown or expired id would otherwise look like the end of the list.
    """
    if after is not None and await queue.group(owner, after) is None:
        raise InvalidParameterError.at("after", "this id is unknown; it may have expired")
