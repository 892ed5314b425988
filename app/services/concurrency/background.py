"""Marks work that nobody waits for, which gives way to what somebody waits for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_BACKGROUND: ContextVar[bool] = ContextVar("background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Mark what is done in the block, its tasks too."""
    token = _BACKGROUND.set(True)
    try:
        yield
    finally:
        _BACKGROUND.reset(token)


def in_background() -> bool:
    """Tell whether nobody waits for what is being done."""
    return _BACKGROUND.get()
