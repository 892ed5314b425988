"""The form that a caller's JSON Schema describes, null where the picture does not tell."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from app.services.answers.form import SHOWN, AnswerError
from app.services.answers.schema import Schema, SchemaError, nullable, plain

# The engine that runs in linear time: a caller's pattern can't make it backtrack forever.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)


@dataclass(frozen=True, slots=True)
class Filled:
    """An object under the caller's schema."""

    fields: dict[str, Any]
    """Valid under the schema, except that what was not found is null."""
    not_found: tuple[str, ...]
    """Paths of what is null: ``items.0.price``."""


@dataclass(frozen=True)
class CallerForm:
    """A caller's schema as a form. Making one raises SchemaError where it can't be used."""

    given: dict[str, Any]
    schema: Schema = field(init=False)
    """As the prompt carries it: references resolved, every property nullable."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", nullable(plain(self.given)))
        _ = self._validator

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        return validator(self.schema)

    def check(self, value: dict[str, object]) -> Filled:
        """Return ``value`` completed with nulls, or raise AnswerError."""
        if not set(value) & set(self.schema["properties"]):
            raise AnswerError(("the object has none of the properties asked for",))
        completed = conformed(value, self.schema)
        faults = tuple(faults_of(self._validator, completed))
        if faults:
            raise AnswerError(faults)
        return Filled(completed, tuple(missing(completed, self.schema)))


def validator(schema: Schema) -> jsonschema_rs.Validator:
    """Return what holds answers against ``schema``, or raise SchemaError."""
    try:
        orjson.dumps(schema)
    except TypeError as error:
        raise SchemaError(f"can't be written into a prompt: {error}") from error
    try:
        return jsonschema_rs.Draft202012Validator(schema, pattern_options=_PATTERNS, offline=True)
    except ValueError as error:
        reason = str(error).splitlines()[0][:200]
        raise SchemaError(f"is not a JSON Schema of draft 2020-12: {reason}") from error


def faults_of(validator: jsonschema_rs.Validator, value: object) -> Iterator[str]:
    """Yield what is wrong with ``value``, a line each, as many as the model is told."""
    for fault in islice(validator.iter_errors(value), SHOWN):
        place = ".".join(map(str, fault.instance_path)) or "the object"
        yield f"{place}: {fault.message[:200]}"


def conformed(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` with null for each property left out, and numbers freed of their quotes."""
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    properties = schema.get("properties")
    if isinstance(value, dict) and isinstance(properties, dict):
        known = {name: conformed(value.get(name), part) for name, part in properties.items()}
        return {**known, **{name: extra for name, extra in value.items() if name not in known}}
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [conformed(item, schema["items"]) for item in value]
    if isinstance(value, str) and "string" not in kinds:
        return _unquoted(value, kinds)
    if isinstance(value, int | float) and not isinstance(value, bool) and kinds:
        return str(value) if not {"number", "integer"} & set(kinds) and "string" in kinds else value
    return value


def _unquoted(text: str, kinds: list[str]) -> object:
    if "null" in kinds and text.strip().lower() in {"", "null", "none", "n/a"}:
        return None
    try:
        if "integer" in kinds:
            return int(text)
        number = float(text) if "number" in kinds else math.nan
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def missing(value: object, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of each of the schema's properties that is null in ``value``."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            yield from missing(value.get(name), part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from missing(item, schema["items"], f"{path}.{index}")
