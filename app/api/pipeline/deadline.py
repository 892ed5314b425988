"""The deadline of an answer, determined from the request's headers before any wait."""

import asyncio

from app.api.routing.headers import RequestHeaders


def deadline(headers: RequestHeaders, usual: float, longest: float) -> float:
    """Return the deadline of a request that arrives now, in seconds of the event loop's clock.

    It is ``usual`` seconds away, or as many as the caller asks for, at most ``longest``. An invalid
    header has no effect here; the route refuses it together with other faults.
    """
    asked = headers.timeout
    seconds = usual if asked is None else min(longest, asked)
    return asyncio.get_running_loop().time() + seconds
