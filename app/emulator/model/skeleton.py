"""A form that a prompt shows as the answer itself, with placeholders: read as a JSON Schema.

``{"answer": string | null (in few words), "tags": [string, ...]}``: names of types and JSON
values, ``|`` between alternatives, ``...`` where a list goes on, and hints in round brackets.
"""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Any

Schema = dict[str, Any]

_WORD = re.compile(r"string|number|integer|any")
_GAP = re.compile(r"\s*")
_NUMBER = r"-?\d+(?:\.\d+)?"
_BOUNDS = (
    (rf"({_NUMBER}) to ({_NUMBER})", ("minimum", "maximum")),
    (rf"at least ({_NUMBER})", ("minimum",)),
    (rf"at most ({_NUMBER})", ("maximum",)),
    (rf"more than ({_NUMBER})", ("exclusiveMinimum",)),
    (rf"less than ({_NUMBER})", ("exclusiveMaximum",)),
    (rf"in steps of ({_NUMBER})", ("multipleOf",)),
    (r"at least (\d+) characters", ("minLength",)),
    (r"at most (\d+) characters", ("maxLength",)),
    (r"at least (\d+) entries", ("minItems",)),
    (r"at most (\d+) entries", ("maxItems",)),
)
_BOTH = {"characters": ("minLength", "maxLength"), "entries": ("minItems", "maxItems")}
_FORMATS = {"YYYY-MM-DD": "date", "YYYY-MM-DDThh:mm:ssZ": "date-time", "hh:mm:ss": "time"}
_decoder = JSONDecoder()


class NoSkeletonError(ValueError):
    """There is no skeleton at this place."""


def parsed(text: str, start: int) -> tuple[Schema, int]:
    """Return the schema of the object at ``start`` and where it ends, or raise NoSkeletonError."""
    reader = _Reader(text, start)
    schema = reader.object()
    if not reader.placeholders:
        raise NoSkeletonError
    return schema, reader.at


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.placeholders = 0

    def object(self) -> Schema:
        """Read an object."""
        self._take("{")
        properties: Schema = {}
        while not self._took("}"):
            if properties:
                self._take(",")
            name = self._json()
            if not isinstance(name, str):
                raise NoSkeletonError
            self._take(":")
            properties[name] = self._value()
        return {"type": "object", "properties": properties, "required": list(properties)}

    def _value(self) -> Schema:
        options = [self._option()]
        while self._took("|"):
            self.placeholders += 1
            options.append(self._option())
        return _together(options)

    def _option(self) -> Schema:
        self._gap()
        if self.text.startswith("{", self.at):
            schema = self.object()
        elif self.text.startswith("[", self.at):
            schema = self._list()
        elif match := _WORD.match(self.text, self.at):
            self.at = match.end()
            self.placeholders += 1
            schema = {} if match[0] == "any" else {"type": match[0]}
        else:
            schema = {"enum": [self._json()]}
        return {**schema, **self._hint()}

    def _list(self) -> Schema:
        self._take("[")
        items = self._value()
        self._take(",")
        self._take("...")
        self._take("]")
        self.placeholders += 1
        return {"type": "array", "items": items}

    def _hint(self) -> Schema:
        self._gap()
        if not self.text.startswith("(", self.at):
            return {}
        depth, end = 0, self.at
        while end < len(self.text):
            depth += (self.text[end] == "(") - (self.text[end] == ")")
            end += 1
            if depth == 0:
                hint, self.at = self.text[self.at + 1 : end - 1], end
                return _hinted(hint)
        raise NoSkeletonError

    def _json(self) -> Any:  # noqa: ANN401 - any JSON value
        self._gap()
        try:
            value, self.at = _decoder.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            raise NoSkeletonError from error
        return value

    def _gap(self) -> None:
        match = _GAP.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _took(self, sign: str) -> bool:
        self._gap()
        there = self.text.startswith(sign, self.at)
        self.at += len(sign) if there else 0
        return there

    def _take(self, sign: str) -> None:
        if not self._took(sign):
            raise NoSkeletonError


def _together(options: list[Schema]) -> Schema:
    """Return one schema for alternatives: a closed list, a kind that may be null, or any of."""
    rest = [option for option in options if option != {"enum": [None]}]
    nullable = len(rest) < len(options)
    hints = {key: value for option in rest for key, value in option.items() if key != "enum"}
    if rest and all("enum" in option for option in rest):
        values = [value for option in rest for value in option["enum"]]
        if len(values) == 2 and values[0] is True and values[1] is False:
            return {**hints, "type": ["boolean", "null"] if nullable else "boolean"}
        return {**hints, "enum": [*values, None] if nullable else values}
    if len(rest) == 1:
        (option,) = rest
        if not nullable:
            return option
        return {"anyOf": [option, {"type": "null"}], **_described(option)}
    return {"anyOf": [*rest, *([{"type": "null"}] if nullable else [])]}


def _described(option: Schema) -> Schema:
    return {"description": option["description"]} if "description" in option else {}


def _hinted(hint: str) -> Schema:
    """Return the keywords that a hint means."""
    before, _, pattern = hint.partition("matching /")
    schema: Schema = {"pattern": pattern.removesuffix("/")} if pattern else {}
    words = []
    for said in before.removesuffix("; ").split("; "):
        known = _keywords(said)
        schema |= known
        words += [said] if said and not known else []
    return {**schema, "description": "; ".join(words)} if words else schema


def _keywords(said: str) -> Schema:
    for pattern, keys in _BOUNDS:
        if match := re.fullmatch(pattern, said):
            return dict(zip(keys, map(_number, match.groups()), strict=True))
    count, _, what = said.partition(" ")
    if count.isdigit() and what in _BOTH:
        return dict.fromkeys(_BOTH[what], int(count))
    if said == "not empty":
        return {"minLength": 1}
    if said == "each entry once":
        return {"uniqueItems": True}
    if said.startswith("as ") and " " not in said[3:]:
        return {"format": _FORMATS.get(said[3:], said[3:])}
    return {}


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)
