"""Extract: the fields of a caller's schema, from a form, a receipt, an invoice, a card."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, Field

from app.services.answers.instruction import with_schema
from app.services.answers.schema import SchemaError
from app.services.answers.schema_form import CallerForm, Filled
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import (
    Example,
    Finding,
    Parameters,
    Question,
    Result,
    Task,
    TaskParameterError,
    only,
)

MAX_SCHEMA_BYTES = 16 * 1024
"""About 5,000 tokens of prompt."""


def _from_text(value: object) -> object:
    # A form has no other way to carry an object.
    if not isinstance(value, str):
        return value
    if len(value) > MAX_SCHEMA_BYTES:
        raise ValueError(f"a schema has at most {MAX_SCHEMA_BYTES} bytes")
    try:
        return orjson.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


class ExtractParameters(Parameters):
    """What to look for."""

    json_schema: Annotated[
        dict[str, Any],
        BeforeValidator(_from_text),
        Field(
            alias="schema",
            description="JSON Schema (draft 2020-12) of an object: the fields to fill. References "
            "to its own `$defs` are resolved, others refused. Also taken as JSON text.",
        ),
    ]


class ExtractResult(Result):
    """The fields."""

    fields: Annotated[
        dict[str, Any],
        Field(
            description="Valid under the schema, save that any property may be null: what the "
            "picture does not tell."
        ),
    ]
    not_found: Annotated[
        list[str], Field(description="Paths of the properties that are null: `items.0.price`.")
    ]


def questions(parameters: ExtractParameters, _: int) -> Sequence[Question[Filled]]:
    """Ask once, with the caller's schema."""
    try:
        if len(orjson.dumps(parameters.json_schema)) > MAX_SCHEMA_BYTES:
            raise SchemaError(f"has more than {MAX_SCHEMA_BYTES:,} bytes")
        form = CallerForm(parameters.json_schema)
    except (SchemaError, TypeError, RecursionError) as error:
        raise TaskParameterError("schema", str(error)) from error
    return (Question(with_schema(prompt("extract").filled(), form.schema), form),)


def conclude(_: ExtractParameters, findings: Sequence[Finding[Filled]]) -> ExtractResult:
    """Return the fields."""
    filled = only(findings)
    return ExtractResult(fields=filled.fields, not_found=list(filled.not_found))


EXTRACT = Task(
    name="extract",
    summary="Fill a JSON Schema from a document",
    description="Reads the fields that your schema describes off a form, receipt, invoice or card. "
    "What is not there is null and listed.",
    parameters=ExtractParameters,
    result=ExtractResult,
    questions=questions,
    conclude=conclude,
    example=Example(
        parameters={
            "schema": {
                "type": "object",
                "properties": {"vendor": {"type": "string"}, "total": {"type": "number"}},
            }
        },
        result={"fields": {"vendor": None, "total": 42.1}, "not_found": ["vendor"]},
    ),
)
