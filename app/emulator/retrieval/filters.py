"""The filters of Retrieve: thirteen operators over a document's metadata."""

from collections.abc import Callable
from typing import Any

from app.emulator.wire.errors import invalid

_DEPTH = 5
_Test = Callable[[Any, Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    # In JSON, true does not equal 1.
    return bool(one == other and isinstance(one, bool) is isinstance(other, bool))


def _among(actual: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    return any(_same(actual, value) for value in wanted)


def _contains(actual: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON value
    texts = actual if isinstance(actual, list) else [actual]
    return any(isinstance(text, str) and wanted in text for text in texts)


_TESTS: dict[str, tuple[str, _Test]] = {
    "equals": ("any", _same),
    "notEquals": ("any", lambda actual, wanted: not _same(actual, wanted)),
    "greaterThan": ("number", lambda actual, wanted: _is_number(actual) and actual > wanted),
    "greaterThanOrEquals": ("number", lambda a, wanted: _is_number(a) and a >= wanted),
    "lessThan": ("number", lambda actual, wanted: _is_number(actual) and actual < wanted),
    "lessThanOrEquals": ("number", lambda actual, wanted: _is_number(actual) and actual <= wanted),
    "in": ("list", _among),
    "notIn": ("list", lambda actual, wanted: not _among(actual, wanted)),
    "startsWith": ("text", lambda a, wanted: isinstance(a, str) and a.startswith(wanted)),
    "listContains": ("text", lambda a, wanted: isinstance(a, list) and _among(wanted, a)),
    "stringContains": ("text", _contains),
}
_NEGATIVE = ("notEquals", "notIn")
_TYPES: dict[str, Callable[[Any], bool]] = {
    "any": lambda value: isinstance(value, str | bool) or _is_number(value),
    "number": _is_number,
    "list": lambda value: isinstance(value, list) and bool(value),
    "text": lambda value: isinstance(value, str),
}
OPERATORS = (*_TESTS, "andAll", "orAll")


def checked(wanted: Any, depth: int = 1) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Return a filter that is well formed, or raise a 400."""
    if not isinstance(wanted, dict) or len(wanted) != 1 or depth > _DEPTH:
        raise invalid("A filter holds exactly one operator, and is nested at most five deep.")
    ((operator, value),) = wanted.items()
    if operator in ("andAll", "orAll"):
        if not isinstance(value, list) or len(value) < 2:
            raise invalid(f"{operator} holds at least two filters.")
        for part in value:
            checked(part, depth + 1)
    elif operator in _TESTS:
        _check_attribute(operator, value)
    else:
        raise invalid(f"Unknown filter operator: {operator}")
    return wanted


def _check_attribute(operator: str, attribute: object) -> None:
    kind = _TESTS[operator][0]
    match attribute:
        case {"key": str(key), "value": value, **more} if 0 < len(key) <= 100 and not more:
            if _TYPES[kind](value):
                return
    raise invalid(f"{operator} holds a key and a value of type {kind}.")


def passes(wanted: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """Whether a document's metadata passes a filter that is well formed.

    A document without the key passes ``notEquals`` and ``notIn`` only.
    """
    ((operator, value),) = wanted.items()
    if operator == "andAll":
        return all(passes(part, metadata) for part in value)
    if operator == "orAll":
        return any(passes(part, metadata) for part in value)
    if value["key"] not in metadata:
        return operator in _NEGATIVE
    return _TESTS[operator][1](metadata[value["key"]], value["value"])
