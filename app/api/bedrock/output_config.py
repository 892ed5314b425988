"""Converse's `outputConfig`: the form of the answer."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.domain.errors import InvalidParameterError
from app.domain.generation import Delta, Done, Generation, GenerationEvents
from app.domain.image import AnswerWarning
from app.services.answers.exact import SchemaForm
from app.services.answers.schemas.schema import SchemaError
from app.services.deferred_model import DeferredModel
from app.services.generation.structured import Structured

_STRICT = ConfigDict(extra="forbid", strict=True)
PLACE = "outputConfig.textFormat.structure.jsonSchema.schema"


class JsonSchema(DeferredModel):
    """The schema of a JSON object."""

    model_config = _STRICT

    text: Annotated[
        str, Field(alias="schema", max_length=100_000, description="The JSON Schema as text.")
    ]
    name: str | None = None
    description: str | None = None


class Structure(DeferredModel):
    """The schema for the answer's text."""

    model_config = _STRICT

    jsonSchema: JsonSchema  # noqa: N815 - AWS's name


class TextFormat(DeferredModel):
    """The format of the answer's text."""

    model_config = _STRICT

    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(DeferredModel):
    """The requested form of the answer."""

    # Frozen, as pydantic copies a default that may change for each request.
    model_config = ConfigDict(**_STRICT, frozen=True)

    textFormat: TextFormat | None = None  # noqa: N815 - AWS's name

    def form(self) -> SchemaForm | None:
        """Return the form of the answer. Raises InvalidParameterError for an unusable schema."""
        if self.textFormat is None:
            return None
        try:
            schema = json.loads(self.textFormat.structure.jsonSchema.text)
            if not isinstance(schema, dict):
                raise SchemaError("has to be a JSON object as text")
            return SchemaForm(schema)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError.at(PLACE, str(error)) from error


def with_warning(structured: Structured) -> Generation:
    """Return the answer, with a warning if it misses its form, as Converse has no refusals."""
    generation = structured.generation
    if structured.refusal is None:
        return generation
    warning = AnswerWarning("answer_not_of_form", structured.refusal)
    return replace(generation, warnings=(*generation.warnings, warning))


async def events(generation: Generation) -> AsyncIterator[GenerationEvents]:
    """Yield the events of an answer that was checked as a whole before it is streamed."""
    yield (Delta(generation.completion.text), Done(generation))
