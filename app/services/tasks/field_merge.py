"""Merges the fields of several pages into one object."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.services.tasks.pages import Conflict, PageFacts, settled

PagedFields = tuple[PageFacts, Any]


def merged(
    pages: Sequence[PagedFields], *, lists_add_up: bool = True, once: bool = False
) -> tuple[dict[str, Any], list[Conflict]]:
    """Return the pages' objects merged into one, and their conflicts.

    Lists are joined over pages, or taken from the first page without ``lists_add_up``. With
    ``once`` repeated items are left out, because tiles of one page show some things twice.
    """
    conflicts: list[Conflict] = []

    def merge(path: str, paged_values: Sequence[PagedFields]) -> Any:  # noqa: ANN401 - any JSON value
        known = [(where, value) for where, value in paged_values if value is not None]
        if not known:
            return None
        values = [value for _, value in known]
        if all(isinstance(value, dict) for value in values):
            names = dict.fromkeys(name for value in values for name in value)
            return {name: merge(_below(path, name), list(_members(known, name))) for name in names}
        if all(isinstance(value, list) for value in values):
            return _list(values, lists_add_up=lists_add_up, once=once)
        value, differing = settled(path, known)
        conflicts.extend(differing)
        return value

    result: dict[str, Any] = merge("", pages)
    return result, conflicts


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _members(paged_values: Sequence[PagedFields], name: str) -> Iterator[PagedFields]:
    return ((where, value.get(name)) for where, value in paged_values)


def _list(values: Sequence[list[Any]], *, lists_add_up: bool, once: bool) -> list[Any]:
    if not lists_add_up:
        return next((value for value in values if value), [])
    if all(value == values[0] for value in values):
        return values[0]
    result: list[Any] = []
    for value in values:
        result += [item for item in value if not (once and item in result)]
    return result
