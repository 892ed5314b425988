"""A caller's JSON Schema to the letter: for callers who parse the answer with it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jsonschema_rs

from app.services.answers.filled import conformed, faults_of, validator
from app.services.answers.form import AnswerError
from app.services.answers.schema import Schema, plain


@dataclass(frozen=True, slots=True)
class AnyObject:
    """Any JSON object."""

    @property
    def schema(self) -> Schema:
        """What the prompt carries."""
        return {"type": "object"}

    def check(self, value: dict[str, object]) -> dict[str, Any]:
        """Return ``value``."""
        return value


@dataclass(frozen=True)
class SchemaForm:
    """An object valid under the schema. Making one raises SchemaError where it can't be used."""

    given: Schema
    schema: Schema = field(init=False)
    """As the prompt carries it: references resolved."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", plain(self.given))
        _ = self._validator

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        return validator(self.schema)

    def check(self, value: dict[str, object]) -> dict[str, Any]:
        """Return ``value`` without nulls that stand for nothing, or raise AnswerError."""
        exact: dict[str, Any] = without_blanks(conformed(value, self.schema), self.schema)
        faults = tuple(faults_of(self._validator, exact))
        if faults:
            raise AnswerError(faults)
        return exact


def without_blanks(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` without the properties that are null and need not be there."""
    if isinstance(value, dict):
        parts, required = schema.get("properties", {}), schema.get("required", [])
        return {
            name: without_blanks(member, parts.get(name, {}))
            for name, member in value.items()
            if member is not None or name in required
        }
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [without_blanks(item, schema["items"]) for item in value]
    return value
