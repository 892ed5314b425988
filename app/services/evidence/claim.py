"""Claims of a result: its values, and where each may stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The path of a value in the result: ``("fields", "items", 0, "price")``."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A value of a result."""

    path: Path
    value: str | float
    pages: frozenset[int] = frozenset()
    """Numbers of the pages it may be on; empty for any."""
    quote: str | None = None
    """The model's own words for where it has the value from."""
    probability: float | None = None
    """The confidence by the model's log probabilities; None where they are not known."""
    part: Path = ()
    """Which part of the result it is of, where that tells values again: ``("pages", 0)``. Two
    parts may have one value from one place."""
    whole_line: bool = False
    """Whether it is a line of its own, rather than a word of one."""

    @property
    def own_path(self) -> Path:
        """Return the path within the part."""
        return self.path[len(self.part) :]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, str | float]]:  # noqa: ANN401
    """Yield the texts and numbers in a JSON value; true and false stand nowhere as words."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, (*path, index))
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        yield path, value
