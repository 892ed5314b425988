"""The form that a caller's JSON Schema describes, null where the picture does not tell."""

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

# The engine that runs in linear time: a caller's pattern can't make it backtrack forever.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)

MOST_COPIED = 10_000_000
"""Weight of an answer times that of its schema, up to which all its faults are looked at."""


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

    gaps: ClassVar[bool] = False
    given: dict[str, Any]
    schema: Schema = field(init=False)
    """The schema as the prompt carries it: references resolved, every property nullable."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", nullable(plain(self.given)))
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
        """Return ``answer`` without refusals that stand for values, None if nothing remains."""
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
    """Return ``value`` as ``schema`` asks for it, or raise AnswerError."""
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

    With ``formats`` texts have to be of the `format` that is named for them.
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
    """Yield the faults of ``value``, a line each, as many as the model is told.

    Only the first where ``value`` or ``schema`` is large.
    """
    for fault in islice(_faults(validator, value, schema), SHOWN):
        place = ".".join(map(str, fault.instance_path)) or "the object"
        yield f"{place}: {fault.message[:200]}"


def _faults(
    validator: jsonschema_rs.Validator, value: object, schema: Schema
) -> Iterable[jsonschema_rs.ValidationError]:
    # All are made before the first is seen, each with its own copy of what it breaks.
    if weight(value, MAX_WEIGHT) * weight(schema, MAX_WEIGHT) <= MOST_COPIED:
        return validator.iter_errors(value)
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return (error,)
    return ()


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
