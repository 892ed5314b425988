"""Converts written values to the types of a JSON Schema, never to different values."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.services.answers.schemas.schema import Schema
from app.services.answers.text.listed import Listed
from app.services.answers.text.notes import AnswerError
from app.services.answers.text.numbers import Hints, NumberError, decimal_separator, number
from app.services.answers.text.quotation import Partial
from app.services.answers.text.scan import Bare
from app.services.answers.text.words import NO_NUMBER, boolean, not_there, nothing

MISSING = object()
"""A sentinel for a property that the model left out."""
MOST_STEPS = 100_000
"""Maximum property look-ups in all objects of an answer. A table of 100 rows and columns takes
10,000; a 2,000-token answer of only braces under a schema of 400 parts would take 400,000."""


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` as plain JSON without a schema's help; ``042`` stays text.

    Texts that were cut off are left out.
    """
    if isinstance(value, dict):
        return {k: plain(member) for k, member in value.items() if not isinstance(member, Partial)}
    if isinstance(value, list):
        return [plain(item) for item in value if not isinstance(item, Partial)]
    if not isinstance(value, Bare):
        return value
    if value in ("NaN", "Infinity", "-Infinity"):
        return None
    try:
        return number(value, Hints(bare=True)) if _JSON_NUMBER.fullmatch(value) else str(value)
    except NumberError:
        # JSON parsers disagree about numbers outside these bounds.
        return None


_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_BARE_NUMBER = re.compile(rf"{_JSON_NUMBER.pattern}|-?Infinity|NaN", re.ASCII)
"""Matches what JavaScript reads as a number, also where a text is allowed."""


def folded(name: str) -> str:
    """Return ``name`` without case and word separators."""
    return re.sub(r"[\W_]+", "", name).casefold()


def renamed(value: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return ``value`` with keys renamed to those of ``names``, such as from ``Invoice Number``."""
    result: dict[str, Any] = {}
    spellings = [(fold, _unique(names, fold)) for fold in (str.casefold, folded)]
    for key, member in value.items():
        alike = (known[fold(key)] for fold, known in spellings if fold(key) in known)
        name = key if key in names else next(alike, key)
        if name != key and (name in value or name in result):
            name = key
        result[name] = member
    return result


def _unique(names: Iterable[str], fold: Callable[[str], str]) -> dict[str, str]:
    """Map folds to ``names``, without ambiguous folds such as that of C, C# and C++."""
    counts = Counter(map(fold, names))
    return {fold(name): name for name in names if counts[fold(name)] == 1}


def texts(value: Any, apart: Collection[str] = ()) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield each text in ``value``, except those below members named in ``apart``."""
    level = [value]
    while level:
        part = level.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping):
            level.extend(reversed([part[name] for name in part if name not in apart]))
        elif isinstance(part, list | tuple):
            level.extend(reversed(part))


@dataclass(slots=True)
class Conforming:
    """Converts one object to a schema and collects its faults."""

    hints: Hints = field(default_factory=Hints)
    faults: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    """Notes about values that were converted on an assumption."""
    trimmed: list[str] = field(default_factory=list)
    """Places of members that were dropped because the schema does not have them."""
    cut: bool = False
    """Whether missing values may have been cut off."""
    lenient: bool = False
    """Whether the answer can't be repaired, so that ambiguous shapes are accepted."""
    _steps: int = 0
    _lists: dict[int, Listed | None] = field(default_factory=dict)
    """The listed values of each schema by its identity, as the schemas outlive this object."""

    @classmethod
    def to(cls, value: dict[str, Any], *, cut: bool = False, lenient: bool = False) -> "Conforming":
        """Create a converter with the decimal sign that the numbers in ``value`` share."""
        return cls(Hints(decimal=decimal_separator(texts(value))), cut=cut, lenient=lenient)

    def conformed(self, value: Any, schema: Schema, place: str = "") -> Any:  # noqa: ANN401
        """Return ``value`` converted to ``schema``; missing properties become null."""
        self._count(1)
        if value is MISSING or value is None or isinstance(value, Partial):
            return None
        kinds = kinds_of(schema)
        value = _unwrapped(value, kinds)
        if isinstance(value, dict) and "array" in kinds and "object" not in kinds:
            value = [value]
        if isinstance(value, list) and kinds and "array" not in kinds:
            value = self._one(value, kinds, place)
            if value is None:
                return None
        if isinstance(value, dict):
            return self._object(value, self._described(value, schema), place)
        if isinstance(value, list):
            return self._list(value, _branch(schema, "items"), place)
        return self._single(value, kinds, schema, place)

    def _object(self, value: dict[str, Any], schema: Schema, place: str) -> Any:  # noqa: ANN401
        parts = schema.get("properties")
        if not isinstance(parts, dict):
            return self._open(value, schema, place)
        self._count(len(parts))
        value = renamed(value, parts)
        known = {
            name: self.conformed(value.get(name, MISSING), part, _at(place, name))
            for name, part in parts.items()
        }
        others = {key: member for key, member in value.items() if key not in parts}
        missing = [name for name in parts if name not in value]
        more = schema.get("additionalProperties")
        if others and more in (None, False):
            self._others(others, missing, parts, place)
        if more is False:
            self.trimmed.extend(_at(place, key) for key in others)
            others = {}
        return {**known, **self._open(others, schema, place)}

    def _described(self, value: dict[str, Any], schema: Schema) -> Schema:
        self._count(sum(len(one["properties"]) for one in _objects(schema)))
        return object_branch(value, schema)

    def _count(self, more: int) -> None:
        """Count steps, or raise AnswerError: a short answer may be costly under a wide schema."""
        self._steps += more
        if self._steps > MOST_STEPS:
            raise AnswerError(("the answer has too many objects for a schema of this size",))

    def _listed(self, schema: Schema) -> Listed | None:
        if id(schema) not in self._lists:
            entries = _closed_list(schema)
            self._lists[id(schema)] = None if entries is None else Listed.from_entries(entries)
        return self._lists[id(schema)]

    def _others(
        self, others: dict[str, Any], missing: list[str], parts: dict[str, Any], place: str
    ) -> None:
        """Report a fault if unknown keys may be missing ones under other names."""
        filled = [key for key, member in others.items() if member not in (None, "", [], {})]
        if filled and len(missing) == len(parts):
            self.faults.append(f"{place or 'the object'} has none of the properties asked for")
        elif filled and missing and not self.cut:
            self.faults.append(
                f"{place or 'the object'}: {', '.join(missing[:8])} missing; not asked for: "
                f"{', '.join(filled[:8])}. Keep the keys as they are"
            )

    def _open(self, value: dict[str, Any], schema: Schema, place: str) -> dict[str, Any]:
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            return {k: self.conformed(member, more, _at(place, k)) for k, member in value.items()}
        return {
            key: plain(member) for key, member in value.items() if not isinstance(member, Partial)
        }

    def _single(self, value: Any, kinds: set[str], schema: Schema, place: str) -> Any:  # noqa: ANN401
        if (listed := self._listed(schema)) is not None:
            return listed.value(value, plain(value))
        if isinstance(value, str) and "array" in kinds and "string" not in kinds:
            if nothing(value, NO_NUMBER) and "null" in kinds:
                return None
            if _SEVERAL.search(value):
                noted = self.assumed if self.lenient else self.faults
                noted.append(f"{place or 'the object'}: is one text; write a list")
            return self._list([value], _branch(schema, "items"), place)
        return self._scalar(value, kinds, schema, place)

    def _one(self, value: list[Any], kinds: set[str], place: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the one value that a list stands for if the schema has no list, else the list."""
        if len(value) == 1 and not isinstance(value[0], dict | list | Partial):
            return value[0]
        if not value and "null" in kinds:
            return None
        if self.lenient and "string" in kinds and all(isinstance(v, str) for v in value):
            self.assumed.append(f"{place or 'the object'}: is a list; write one text")
            return "\n".join(value)
        return value

    def _list(self, value: list[Any], schema: Schema, place: str) -> Any:  # noqa: ANN401
        items = schema.get("items")
        value = [item for item in value if not isinstance(item, Partial)]
        if not isinstance(items, dict):
            return plain(value)
        if kinds_of(items) == {"string"}:
            # A null cell becomes empty text to keep its row's positions; other nulls are dropped.
            in_row = place.rpartition(".")[2].isdigit()
            value = [i if i is not None else "" for i in value if in_row or i is not None]
        return [self.conformed(item, items, _at(place, str(i))) for i, item in enumerate(value)]

    def _scalar(self, value: Any, kinds: set[str], schema: Schema, place: str) -> Any:  # noqa: ANN401
        if isinstance(value, bool):
            return value if "boolean" in kinds or "string" not in kinds else str(value).lower()
        if isinstance(value, int | float):
            return (
                str(value)
                if kinds and not {"number", "integer"} & kinds and "string" in kinds
                else value
            )
        if not kinds:
            return plain(value)
        numeric = bool({"number", "integer"} & kinds)
        if isinstance(value, Bare) and numeric and _BARE_NUMBER.fullmatch(value):
            return self._number(value, kinds, schema, place)
        if "string" in kinds:
            return None if "null" in kinds and _unsaid(str(value)) else str(value)
        if "null" in kinds and nothing(value, NO_NUMBER):
            return None
        if (
            "boolean" in kinds
            and (truth := boolean(value)) is not None
            and not (numeric and value.strip().isdigit())
        ):
            return truth
        return self._number(value, kinds, schema, place) if numeric else str(value)

    def _number(self, value: str, kinds: set[str], schema: Schema, place: str) -> Any:  # noqa: ANN401
        if "null" in kinds and nothing(value, NO_NUMBER):
            return None
        description = " ".join(
            (place.rpartition(".")[2], str(schema.get("description", "")))
        ).casefold()
        hints = replace(
            self.hints,
            integer="number" not in kinds,
            share=schema.get("maximum") == 1 or schema.get("exclusiveMaximum") == 1,
            percent=schema.get("maximum") == 100 or "percent" in description or "%" in description,
            bare=isinstance(value, Bare),
        )
        try:
            return number(value, hints)
        except NumberError as error:
            self.faults.append(f"{place or 'the object'}: {error}")
            return str(value)


def _closed_list(schema: Schema) -> list[Any] | None:
    """Return all values that ``schema`` and its alternatives list, or None if it is not closed."""
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    if schema.get("type") == "null":
        return [None]
    lists = [_closed_list(option) for key in ("anyOf", "oneOf") for option in schema.get(key, ())]
    if not lists or None in lists:
        return None
    return [value for values in lists for value in values or ()]


_SEVERAL = re.compile(r"[,;]\s|\n")
"""Matches separators that may be between list entries or inside one."""


def _unsaid(text: str) -> bool:
    """Return whether a text means no value: a quoted null, or a remark about the image."""
    return text == "null" or not_there(text)


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def kinds_of(schema: Schema) -> set[str]:
    """Return the types that ``schema`` and its alternatives allow; empty if any is allowed."""
    kind = schema.get("type")
    if kind is not None:
        return set(kind) if isinstance(kind, list) else {kind}
    kinds: set[str] = set()
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            kinds |= kinds_of(option)
    if not kinds and "properties" in schema:
        return {"object"}
    return kinds


def object_branch(value: dict[str, Any], schema: Schema) -> Schema:
    """Return ``schema``, or its alternative that describes ``value`` best.

    That is the one whose listed values ``value`` has, then the one with most of its keys.
    """
    if "properties" in schema:
        return schema
    return max(_objects(schema), key=lambda one: _likeness(value, one), default=schema)


def _objects(schema: Schema) -> Iterator[Schema]:
    """Yield ``schema`` or its alternatives that have properties."""
    if isinstance(schema.get("properties"), dict):
        yield schema
        return
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            yield from _objects(option)


def _likeness(value: dict[str, Any], schema: Schema) -> tuple[int, int, int]:
    parts = schema["properties"]
    named = renamed(value, parts)
    there = [name for name in parts if name in named]
    other = sum(not _may_be(named[name], parts[name]) for name in there)
    return -other, len(there), -len(parts)


def _may_be(value: Any, schema: Schema) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether ``value`` is a listed value in any case, or ``schema`` lists none."""
    entries = _closed_list(schema)
    words = None if entries is None else {str(entry).casefold() for entry in entries}
    return words is None or str(value).strip().casefold() in words


def _branch(schema: Schema, keyword: str) -> Schema:
    """Return ``schema`` if it has ``keyword``, else its first alternative that has it."""
    if keyword in schema:
        return schema
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            if keyword in (branch := _branch(option, keyword)):
                return branch
    return schema


def _unwrapped(value: Any, kinds: set[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of ``{"type": "string", "value": "ACME"}`` if no object is expected."""
    if isinstance(value, dict) and "value" in value and kinds and "object" not in kinds:
        return value["value"]
    return value
