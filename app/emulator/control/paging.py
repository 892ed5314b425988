"""Lists of the control plane: filtered by name and time, sorted and paged."""

import base64
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from app.emulator.wire.errors import invalid

_T = TypeVar("_T")
_MOST = 1000
_ORDER = "CreationTime"


def selected(
    items: Sequence[_T],
    wanted: Mapping[str, str],
    name: Callable[[_T], str],
    created: Callable[[_T], float],
) -> list[_T]:
    """Return the items that a query's ``nameContains`` and times select, in its order."""
    after, before = _time(wanted, "creationTimeAfter"), _time(wanted, "creationTimeBefore")
    chosen = [
        item
        for item in items
        if wanted.get("nameContains", "") in name(item)
        and (after is None or created(item) > after)
        and (before is None or created(item) < before)
    ]
    order = wanted.get("sortOrder", "Descending")
    if order not in ("Ascending", "Descending") or wanted.get("sortBy", _ORDER) != _ORDER:
        raise invalid(f"sortBy must be {_ORDER}, sortOrder Ascending or Descending.")
    return sorted(chosen, key=created, reverse=order == "Descending")


def page(items: Sequence[_T], wanted: Mapping[str, str]) -> tuple[list[_T], dict[str, str]]:
    """Return the requested page, and the member with the next page's token, if any."""
    most, start = _most(wanted), _start(wanted)
    end = start + most
    token = base64.urlsafe_b64encode(str(end).encode()).decode()
    return list(items[start:end]), ({"nextToken": token} if end < len(items) else {})


def _most(wanted: Mapping[str, str]) -> int:
    given = wanted.get("maxResults", str(_MOST))
    if not given.isdecimal() or not 1 <= int(given) <= _MOST:
        raise invalid(f"maxResults must be between 1 and {_MOST}.")
    return int(given)


def _start(wanted: Mapping[str, str]) -> int:
    token = wanted.get("nextToken")
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except (Error, ValueError):
        raise invalid("The nextToken is not valid.") from None


def _time(wanted: Mapping[str, str], key: str) -> float | None:
    if key not in wanted:
        return None
    try:
        moment = datetime.fromisoformat(wanted[key])
    except ValueError:
        raise invalid(f"{key} is not a timestamp.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
