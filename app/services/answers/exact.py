"""Forms that follow a caller's JSON Schema exactly, for callers who parse the answer with it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import jsonschema_rs

from app.services.answers.form import SHOWN
from app.services.answers.schema_form import faults_of, validator
from app.services.answers.schemas.conform import Conforming, object_branch, texts
from app.services.answers.schemas.conform import plain as plain_value
from app.services.answers.schemas.schema import Schema, plain
from app.services.answers.text.notes import AnswerError, Notes, Refusal
from app.services.answers.text.refusal import refusal


def _refused(answer: dict[str, Any]) -> tuple[dict[str, Any] | None, Refusal | None]:
    """Return ``answer`` and None, or None and a refusal in place of a value.

    A single refusal refuses the whole answer, because no part may be left out.
    """
    first = next((r for text in texts(answer) if (r := refusal(text))), None)
    return (answer, None) if first is None else (None, first)


@dataclass(frozen=True, slots=True)
class AnyObject:
    """Any JSON object."""

    gaps: ClassVar[bool] = False

    @property
    def schema(self) -> Schema:
        """Return the schema for the prompt."""
        return {"type": "object"}

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> dict[str, Any]:
        """Return ``value`` with unquoted JSON numbers as numbers."""
        del notes
        result: dict[str, Any] = plain_value(value)
        return result

    def refusal(self, answer: dict[str, Any]) -> tuple[dict[str, Any] | None, Refusal | None]:
        """Return ``answer`` and None, or None and the refusal in it."""
        return _refused(answer)


@dataclass(frozen=True)
class SchemaForm:
    """The form of an object that is valid under a schema.

    Construction raises SchemaError if the schema can't be used.
    """

    gaps: ClassVar[bool] = False
    original: Schema
    schema: Schema = field(init=False)
    """The schema for the prompt, with references resolved."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", plain(self.original))
        _ = self._validator

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        return validator(self.schema, formats=True)

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> dict[str, Any]:
        """Return ``value`` in the schema's form, without optional nulls, or raise AnswerError."""
        notes = notes or Notes()
        work = Conforming.to(value, cut=notes.cut, lenient=notes.lenient)
        completed = work.conformed(value, self.schema)
        exact: dict[str, Any] = without_blanks(completed, self.schema)
        faults = work.faults or list(faults_of(self._validator, exact, self.schema))
        if faults:
            raise AnswerError(faults[:SHOWN])
        return exact

    def refusal(self, answer: dict[str, Any]) -> tuple[dict[str, Any] | None, Refusal | None]:
        """Return ``answer`` and None, or None and the refusal that it holds."""
        return _refused(answer)


def without_blanks(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` without properties that are null and not required."""
    if isinstance(value, dict):
        schema = object_branch(value, schema)
        parts, required = schema.get("properties", {}), schema.get("required", [])
        return {
            name: without_blanks(member, parts.get(name, {}))
            for name, member in value.items()
            if member is not None or name in required
        }
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [without_blanks(item, schema["items"]) for item in value]
    return value
