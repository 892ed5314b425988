"""The claims of a result: its values and where each may be found."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The path of a value in the result: ``("fields", "items", 0, "price")``."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A value of a result that evidence is searched for."""

    path: Path
    value: str | float
    pages: frozenset[int] = frozenset()
    """Numbers of the pages that it may be on; empty for any page."""
    quote: str | None = None
    """The model's own quotation of the text that contains the value."""
    probability: float | None = None
    """The value's probability by the model's log probabilities; None if unknown."""
    part: Path = ()
    """Path of the value's part in a result that repeats values, such as ``("pages", 0)``. Different
    parts may share a place as evidence."""
    whole_line: bool = False
    """Whether the value is a whole line rather than a word of one."""

    @property
    def own_path(self) -> Path:
        """Return the path within the part."""
        return self.path[len(self.part) :]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, str | float]]:  # noqa: ANN401
    """Yield the texts and numbers in a JSON value; booleans do not appear on a page as words."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, (*path, index))
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        yield path, value
