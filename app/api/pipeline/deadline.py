"""When an answer is due: known from a request's head, before anything is waited for."""

import asyncio
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from app.api.pipeline.authorization import Headers

HEADER = "X-Request-Timeout"
STATE = "deadline"
"""Where in a scope's ``state`` it is, in the event loop's time."""

Seconds = Annotated[float, Field(gt=0)]

_NAME = HEADER.lower().encode()
_seconds = TypeAdapter(Seconds).validate_python


def of(given: Headers, longest: float) -> float:
    """Return the deadline of a request that arrives now: at most ``longest`` seconds away.

    What is no number of seconds asks for none here; the route refuses it with its other faults.
    """
    return asyncio.get_running_loop().time() + min(longest, _asked(given, longest))


def _asked(given: Headers, otherwise: float) -> float:
    if _NAME not in given:
        return otherwise
    try:
        return _seconds(given[_NAME].decode("latin-1"))
    except ValidationError:
        return otherwise
