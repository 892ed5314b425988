"""Field types that forgive the spellings of an 11B model, and nothing that changes the meaning."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

ItemT = TypeVar("ItemT")


def _listed(value: object) -> object:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _worded(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _spoken(value: object) -> object:
    """Take a number for its digits; null and a list's worth of text are no text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _absent(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in _NOTHING else value


_NOTHING = {"", "null", "none", "n/a", "unknown", "not found", "-"}

Listed = Annotated[list[ItemT], BeforeValidator(_listed)]
"""A list; a lone value is taken for a list of one, null for none."""
Text = Annotated[str, BeforeValidator(_spoken)]
"""A text; a number is taken for its digits."""
Nullable = Annotated[ItemT | None, BeforeValidator(_absent)]
"""A value, or null; the usual words for nothing are taken for null."""
Word = Annotated[ItemT, BeforeValidator(_worded)]
"""One of a few words, in any case."""
Share = Annotated[float, Field(ge=0, le=1)]
"""0 to 1. Percentages are refused: whether 1 is 1 % or all can't be told."""
