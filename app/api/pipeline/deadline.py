"""The deadline of an answer, read from the request's head before any wait."""

import asyncio

from app.api.routing.headers import RequestHeaders


def deadline(headers: RequestHeaders, usual: float, longest: float) -> float:
    """Return the deadline of a request that arrives now, in the event loop's time.

    It is ``usual`` seconds away, or as many as the caller asks for, at most ``longest``. An
    invalid header asks for no deadline; the route refuses it with its other faults.
    """
    asked = headers.timeout
    seconds = usual if asked is None else min(longest, asked)
    return asyncio.get_running_loop().time() + seconds
