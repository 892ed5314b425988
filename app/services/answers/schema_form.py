"""The form of a caller's JSON Schema, with null for values that the image does not show."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import jsonschema_rs
import orjson

from app.services.answers.form import SHOWN
from app.services.answers.schemas.conform import Conforming, folded, texts
from app.services.answers.schemas.schema import (
    MAX_WEIGHT,
    Schema,
    SchemaError,
    nullable,
    plain,
    weight,
)
from app.services.answers.schemas.text_formats import EMAIL, FORMATS
from app.services.answers.text.notes import AnswerError, Notes, Refusal
from app.services.answers.text.refusal import refusal

# Patterns run on the linear-time engine, so a caller's pattern can't backtrack forever.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)

MOST_COPIED = 10_000_000
"""Maximum product of the weights of an answer and its schema for which all faults are collected."""


@dataclass(frozen=True, slots=True)
class Filled:
    """An object in the form of the caller's schema."""

    fields: dict[str, Any]
    """The object, valid under the schema except that values not found are null."""
    not_found: tuple[str, ...]
    """Paths of the null values, such as ``items.0.price``."""


@dataclass(frozen=True)
class CallerForm:
    """The form of a caller's schema.

    Construction raises SchemaError if the schema can't be used.
    """

    gaps: ClassVar[bool] = False
    original: dict[str, Any]
    schema: Schema = field(init=False)
    """The schema for the prompt, with references resolved and every property nullable."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", nullable(plain(self.original)))
        _ = self._validator

    @cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        return validator(self.schema)

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> Filled:
        """Return ``value`` completed with nulls, or raise AnswerError."""
        if not {folded(key) for key in value} & {folded(key) for key in self.schema["properties"]}:
            raise AnswerError(("the object has none of the properties asked for",))
        completed = conformed(value, self.schema, self._validator, notes or Notes())
        return Filled(completed, tuple(missing(completed, self.schema)))

    def refusal(self, answer: Filled) -> tuple[Filled | None, Refusal | None]:
        """Return ``answer`` without refusals, None if nothing remains, and the first refusal."""
        first = next((r for text in texts(answer.fields) if (r := refusal(text))), None)
        if first is None:
            return answer, None
        rest = _without_refusals(answer.fields)
        if not any(_filled(value) for value in rest.values()):
            return None, first
        return Filled(rest, tuple(missing(rest, self.schema))), first


def _without_refusals(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _without_refusals(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_refusals(item) for item in value]
    return None if isinstance(value, str) and refusal(value) else value


def _filled(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_filled, value.values()))
    if isinstance(value, list):
        return any(map(_filled, value))
    return value is not None and value != ""


def conformed(
    value: dict[str, Any], schema: Schema, validator: jsonschema_rs.Validator, notes: Notes
) -> dict[str, Any]:
    """Return ``value`` converted to ``schema`` and validated, or raise AnswerError."""
    work = Conforming.to(value, cut=notes.cut, lenient=notes.lenient)
    result: dict[str, Any] = work.conformed(value, schema)
    faults = work.faults or list(faults_of(validator, result, schema))
    if faults:
        raise AnswerError(faults[:SHOWN])
    for assumed in work.assumed[:SHOWN]:
        notes.say("shape_assumed", assumed)
    if work.trimmed:
        notes.say("keys_left_out", f"Not asked for and left out: {', '.join(work.trimmed[:20])}.")
    return result


def validator(schema: Schema, *, formats: bool = False) -> jsonschema_rs.Validator:
    """Return a validator of answers against ``schema``, or raise SchemaError.

    With ``formats`` the validator checks the ``format`` keyword.
    """
    try:
        orjson.dumps(schema)
    except TypeError as error:
        raise SchemaError(f"can't be written into a prompt: {error}") from error
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            pattern_options=_PATTERNS,
            offline=True,
            validate_formats=formats,
            formats=FORMATS if formats else None,
            email_options=EMAIL,
        )
    except ValueError as error:
        reason = str(error).splitlines()[0][:200]
        raise SchemaError(f"is not a JSON Schema of draft 2020-12: {reason}") from error


def faults_of(validator: jsonschema_rs.Validator, value: object, schema: Schema) -> Iterator[str]:
    """Yield the faults of ``value``, one line each, up to `SHOWN`.

    Only the first fault is found if ``value`` and ``schema`` are large.
    """
    for fault in islice(_faults(validator, value, schema), SHOWN):
        place = ".".join(map(str, fault.instance_path)) or "the object"
        yield f"{place}: {fault.message[:200]}"


def _faults(
    validator: jsonschema_rs.Validator, value: object, schema: Schema
) -> Iterable[jsonschema_rs.ValidationError]:
    # The library creates all errors before it yields the first, each with a copy of its value.
    if weight(value, MAX_WEIGHT) * weight(schema, MAX_WEIGHT) <= MOST_COPIED:
        return validator.iter_errors(value)
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return (error,)
    return ()


def missing(value: object, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the paths of the schema's properties that are null in ``value``."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            yield from missing(value.get(name), part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from missing(item, schema["items"], f"{path}.{index}")
