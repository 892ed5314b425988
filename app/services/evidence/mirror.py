"""Arranges evidence in the shape of its result."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from app.services.evidence.claim import Path


def mirrored(leaves: Iterable[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    """Return evidence in the result's shape, with null in lists for values without evidence."""
    root: dict[str, Any] = {}
    for path, leaf in leaves:
        place: Any = root
        for part, following in pairwise(path):
            place = _member(place, part, [] if isinstance(following, int) else {})
        _set(place, path[-1], leaf)
    return root


def _member(place: Any, part: str | int, empty: Any) -> Any:  # noqa: ANN401 - any JSON value
    known = place.get(part) if isinstance(place, dict) else _at(place, part)
    if known is None:
        _set(place, part, empty)
        return empty
    return known


def _at(place: list[Any], part: str | int) -> Any:  # noqa: ANN401 - any JSON value
    return place[part] if isinstance(part, int) and part < len(place) else None


def _set(place: Any, part: str | int, value: Any) -> None:  # noqa: ANN401 - any JSON value
    if isinstance(place, list):
        assert isinstance(part, int)
        place += [None] * (part + 1 - len(place))
    place[part] = value
