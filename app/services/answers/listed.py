"""The values that a schema lists, looked up in any case and spelling."""

import re
from dataclasses import dataclass
from typing import Any, Self

from app.services.answers.numbers import boolean, nothing


@dataclass(frozen=True, slots=True)
class Listed:
    """What a schema's ``enum`` lists. Looking one up takes as long for a thousand as for one."""

    exact: dict[tuple[type, Any], Any]
    alike: dict[str, list[Any]]
    """Entries by their spelling."""
    truths: frozenset[bool]
    nullable: bool

    @classmethod
    def from_entries(cls, entries: list[Any]) -> Self:
        """Return ``entries``, of which lists and maps stand for no answer."""
        exact: dict[tuple[type, Any], Any] = {}
        alike: dict[str, list[Any]] = {}
        for entry in entries:
            if not isinstance(entry, list | dict):
                exact.setdefault((type(entry), entry), entry)
            alike.setdefault(_spelt(entry), []).append(entry)
        truths = frozenset(entry for entry in entries if isinstance(entry, bool))
        return cls(exact, alike, truths, None in entries)

    def value(self, value: Any, written: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return the entry that ``value`` is, or it itself; ``written`` is it as JSON has it."""
        key = type(written), written
        if key in self.exact:
            return self.exact[key]
        alike = self.alike.get(_spelt(value), ())
        if len(alike) == 1:
            return alike[0]
        truth = boolean(str(value))
        if truth in self.truths:
            return truth
        if self.nullable and isinstance(value, str) and nothing(value):
            return None
        return str(value) if isinstance(value, str) else value


def _spelt(value: object) -> str:
    """Return a word without case and without what parts it; its signs stay: A+ is no A."""
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", "", str(value).strip()).casefold()
