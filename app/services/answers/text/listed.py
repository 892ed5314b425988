"""Looks up a schema's listed values in any case and spelling."""

import re
from dataclasses import dataclass
from typing import Any, Self

from app.services.answers.text.words import NO_NUMBER, boolean, nothing


@dataclass(frozen=True, slots=True)
class Listed:
    """The values of a schema's ``enum``, with look-ups in constant time."""

    exact: dict[tuple[type, Any], Any]
    alike: dict[str, list[Any]]
    """Entries by their normalised spelling."""
    truths: dict[bool, list[Any]]
    """Entries that mean yes and no; empty unless words for both are listed."""
    nullable: bool

    @classmethod
    def from_entries(cls, entries: list[Any]) -> Self:
        """Index ``entries``; lists and maps are never matched exactly."""
        exact: dict[tuple[type, Any], Any] = {}
        alike: dict[str, list[Any]] = {}
        for entry in entries:
            if not isinstance(entry, list | dict):
                exact.setdefault((type(entry), entry), entry)
            alike.setdefault(_spelt(entry), []).append(entry)
        truths: dict[bool, list[Any]] = {}
        for entry in entries:
            truth = boolean(entry) if isinstance(entry, str) else entry
            if isinstance(truth, bool):
                truths.setdefault(truth, []).append(entry)
        words = any(isinstance(entry, str) for group in truths.values() for entry in group)
        known = {} if words and len(truths) < 2 else truths
        return cls(exact, alike, known, None in entries)

    def value(self, value: Any, written: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return the entry that matches ``value``, or ``value``; ``written`` is its plain JSON."""
        key = type(written), written
        if key in self.exact:
            return self.exact[key]
        bare = _spelt(_unbracketed(value))
        alike = self.alike.get(_spelt(value)) or self.alike.get(bare, [])
        if len(alike) == 1:
            return alike[0]
        truth = boolean(str(value))
        same = [] if truth is None else self.truths.get(truth, [])
        if len(same) == 1:
            return same[0]
        if self.nullable and isinstance(value, str) and nothing(value, NO_NUMBER):
            return None
        return str(value) if isinstance(value, str) else value


def _unbracketed(value: object) -> object:
    """Return a text without a trailing part in brackets."""
    return value.partition("(")[0] if isinstance(value, str) else value


def _spelt(value: object) -> str:
    """Return a text without case and word separators but with its signs, so that A+ is not A."""
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", "", str(value).strip()).casefold()
