"""Filters on a document's metadata, with Bedrock's thirteen operators: parsed, joined, applied.

Sources: `RetrievalFilter` of bedrock-agent-runtime in botocore 1.44.8; AWS's user guide.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_DEPTH = 5
"""Maximum nesting of groups, including the outermost."""
MAX_COMPARISONS = 100
MAX_VALUES = 1000
"""Maximum values of one ``in`` or ``notIn``."""
MAX_TEXT = 2000
"""Maximum characters of a value."""
MAX_KEY = 100
"""Maximum characters of a key, the same as AWS's."""

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]
Metadata = Mapping[str, Any]
"""A document's attributes: texts, numbers, booleans and lists of texts."""


class Operator(StrEnum):
    """A comparison of one attribute."""

    EQUALS = "equals"
    NOT_EQUALS = "notEquals"
    GREATER_THAN = "greaterThan"
    GREATER_THAN_OR_EQUALS = "greaterThanOrEquals"
    LESS_THAN = "lessThan"
    LESS_THAN_OR_EQUALS = "lessThanOrEquals"
    IN = "in"
    NOT_IN = "notIn"
    STARTS_WITH = "startsWith"
    LIST_CONTAINS = "listContains"
    STRING_CONTAINS = "stringContains"


class Join(StrEnum):
    """The ways to join a group's filters."""

    AND_ALL = "andAll"
    OR_ALL = "orAll"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One attribute compared with a value."""

    operator: Operator
    key: str
    value: Value


@dataclass(frozen=True, slots=True)
class Group:
    """Two filters or more."""

    join: Join
    parts: "tuple[MetadataFilter, ...]"


MetadataFilter = Comparison | Group


class FilterError(ValueError):
    """A value is not a filter; ``path`` is the place of the fault."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bool) or _is_number(value)


def _is_list(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and 0 < len(value) <= MAX_VALUES
        and all(_is_scalar(each) for each in value)
    )


_NUMBERS = (
    Operator.GREATER_THAN,
    Operator.GREATER_THAN_OR_EQUALS,
    Operator.LESS_THAN,
    Operator.LESS_THAN_OR_EQUALS,
)
_LISTS = (Operator.IN, Operator.NOT_IN)
_TEXTS = (Operator.STARTS_WITH, Operator.LIST_CONTAINS, Operator.STRING_CONTAINS)


def _type(operator: Operator) -> tuple[str, Callable[[object], bool]]:
    """Return the type of value that ``operator`` takes, as words and as a test."""
    if operator in _NUMBERS:
        return "a number", _is_number
    if operator in _LISTS:
        return f"a list of 1 to {MAX_VALUES} texts, numbers, true or false", _is_list
    if operator in _TEXTS:
        return "a text", lambda value: isinstance(value, str)
    return "a text, a number, true or false", _is_scalar


def parse(written: object) -> MetadataFilter:
    """Parse a filter in AWS's JSON. Raises FilterError."""
    parsed = _parsed(written, "", 1)
    if (count := _comparisons(parsed)) > MAX_COMPARISONS:
        raise FilterError("", f"has {count} comparisons; at most {MAX_COMPARISONS} are taken")
    return parsed


def _parsed(written: object, path: str, depth: int) -> MetadataFilter:
    if not isinstance(written, Mapping) or len(written) != 1:
        raise FilterError(path, f"holds exactly one of {', '.join((*Operator, *Join))}")
    ((name, content),) = written.items()
    place = f"{path}.{name}".lstrip(".")
    if name in list(Join):
        return _group(Join(name), content, place, depth)
    if name in list(Operator):
        return _comparison(Operator(name), content, place)
    raise FilterError(path, f"{str(name)[:60]!r} is not one of {', '.join((*Operator, *Join))}")


def _group(join: Join, content: object, path: str, depth: int) -> Group:
    if depth > MAX_DEPTH:
        raise FilterError(path, f"is nested deeper than {MAX_DEPTH}")
    if not isinstance(content, list | tuple) or not 2 <= len(content) <= MAX_COMPARISONS:
        raise FilterError(path, f"holds a list of 2 to {MAX_COMPARISONS} filters")
    parts = (_parsed(part, f"{path}.{i}", depth + 1) for i, part in enumerate(content))
    return Group(join, tuple(parts))


def _comparison(operator: Operator, content: object, path: str) -> Comparison:
    if not isinstance(content, Mapping) or content.keys() != {"key", "value"}:
        raise FilterError(path, "holds a key and a value")
    key, value = content["key"], content["value"]
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise FilterError(f"{path}.key", f"is a text of 1 to {MAX_KEY} characters")
    wanted, fits = _type(operator)
    if not fits(value):
        raise FilterError(f"{path}.value", f"is {wanted}")
    values = value if _is_list(value) else (value,)
    if any(isinstance(each, str) and len(each) > MAX_TEXT for each in values):
        raise FilterError(f"{path}.value", f"has more than {MAX_TEXT} characters")
    return Comparison(operator, key, tuple(value) if _is_list(value) else value)


def _comparisons(parsed: MetadataFilter) -> int:
    return sum(map(_comparisons, parsed.parts)) if isinstance(parsed, Group) else 1


def written(parsed: MetadataFilter) -> dict[str, Any]:
    """Return ``parsed`` in AWS's JSON."""
    if isinstance(parsed, Group):
        return {parsed.join.value: [written(part) for part in parsed.parts]}
    value = list(parsed.value) if isinstance(parsed.value, tuple) else parsed.value
    return {parsed.operator.value: {"key": parsed.key, "value": value}}


def all_of(*filters: MetadataFilter | None) -> MetadataFilter | None:
    """Return a filter that requires all ``filters``; None if there are none.

    Groups joined by AND become one group, as stores limit the depth.
    """
    parts: list[MetadataFilter] = []
    for each in filters:
        if isinstance(each, Group) and each.join is Join.AND_ALL:
            parts += each.parts
        elif each is not None:
            parts.append(each)
    if len(parts) > 1:
        return Group(Join.AND_ALL, tuple(parts))
    return parts[0] if parts else None


def passes(wanted: MetadataFilter | None, metadata: Metadata) -> bool:
    """Tell whether a document with ``metadata`` matches.

    A document without the attribute matches only ``notEquals`` and ``notIn``.
    """
    match wanted:
        case None:
            return True
        case Group(Join.AND_ALL, parts):
            return all(passes(part, metadata) for part in parts)
        case Group(_, parts):
            return any(passes(part, metadata) for part in parts)
        case Comparison(operator, key, value):
            if key not in metadata:
                return operator in (Operator.NOT_EQUALS, Operator.NOT_IN)
            return _TESTS[operator](metadata[key], value)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any attribute
    # In JSON true is not 1.
    return bool(one == other and isinstance(one, bool) is isinstance(other, bool))


def _among(actual: Any, values: Any) -> bool:  # noqa: ANN401 - any attribute
    return any(_same(actual, value) for value in values)


def _holds_part(actual: Any, part: Any) -> bool:  # noqa: ANN401 - any attribute
    texts = actual if isinstance(actual, list | tuple) else [actual]
    return any(isinstance(text, str) and part in text for text in texts)


_TESTS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUALS: _same,
    Operator.NOT_EQUALS: lambda actual, value: not _same(actual, value),
    Operator.GREATER_THAN: lambda actual, value: _is_number(actual) and actual > value,
    Operator.GREATER_THAN_OR_EQUALS: lambda actual, value: _is_number(actual) and actual >= value,
    Operator.LESS_THAN: lambda actual, value: _is_number(actual) and actual < value,
    Operator.LESS_THAN_OR_EQUALS: lambda actual, value: _is_number(actual) and actual <= value,
    Operator.IN: _among,
    Operator.NOT_IN: lambda actual, value: not _among(actual, value),
    Operator.STARTS_WITH: lambda actual, value: (
        isinstance(actual, str) and actual.startswith(value)
    ),
    Operator.LIST_CONTAINS: lambda actual, value: (
        isinstance(actual, list | tuple) and _among(value, actual)
    ),
    Operator.STRING_CONTAINS: _holds_part,
}
