"""Pages of what a caller has on the queue."""

from app.domain.errors import InvalidParameterError
from app.domain.ports import WorkQueue


async def check_after(queue: WorkQueue, owner: str, after: str | None) -> None:
    """Check that a page may start behind ``after``, or raise InvalidParameterError.

    An id of nothing, or of what has expired meanwhile, would end the pages too soon.
    """
    if after is not None and await queue.group(owner, after) is None:
        raise InvalidParameterError.at("after", "there is nothing of that id; it may have expired")
