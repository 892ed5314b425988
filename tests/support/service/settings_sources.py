"""What pydantic-settings finds out about the type of a setting, once for each process of tests.

It would find it out anew for each `Settings`: four milliseconds, and thousands of tests make one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from pydantic_settings import EnvSettingsSource


def _remembered(find: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``find`` with a memory: it computes the result for a field and prefix once."""
    # Fields are kept, so that no other gets the id of one.
    known: dict[tuple[object, ...], tuple[object, Any]] = {}

    @wraps(find)
    def found(self: EnvSettingsSource, field: object, *rest: Any) -> Any:
        key = (id(field), *rest, self.env_prefix)
        if key not in known:
            known[key] = field, find(self, field, *rest)
        return known[key][1]

    return found


def share() -> None:
    """Remember what this process finds out about the types of settings."""
    source: Any = EnvSettingsSource
    for name in ("_extract_field_info", "_field_is_complex"):
        setattr(source, name, _remembered(getattr(source, name)))
