"""Chooses how the upstream enforces a form during generation."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from app.domain.model import Capabilities
from app.domain.output import Choice, JsonObject, JsonSchema, OutputForm
from app.services.answers.instruction import with_form, with_keys, with_options
from app.services.answers.schemas.grammar import grammar, small
from app.services.answers.schemas.schema import Schema

MAX_OPTIONS = 64
"""Maximum options of a closed answer that is sent as a choice."""
REMEMBERED = 512
"""Maximum number of refused forms in memory; the oldest refusal is dropped first."""
NAME = "answer"


@dataclass(frozen=True, slots=True)
class Enforced:
    """A form as it is sent to the upstream."""

    form: OutputForm
    schema: Schema
    """The schema that the answer is validated against here."""
    key: str | None = None
    """The single property of a choice; the model writes only its value."""

    @property
    def digest(self) -> bytes:
        """Return a digest that is the same for equal forms."""
        match self.form:
            case JsonSchema(_, schema):
                content: object = schema
            case Choice(options):
                content = options
            case JsonObject():
                content = "object"
        return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()

    def with_instructions(self, text: str) -> str:
        """Return ``text`` with the instructions about the form that the model still needs."""
        match self.form:
            case Choice(options):
                return with_options(text, options)
            case JsonSchema():
                return with_keys(text, self.schema)
            case JsonObject():
                return with_form(text, self.schema)

    def answer(self, text: str) -> str:
        """Return ``text`` as JSON: a bare option becomes an object with the one property."""
        if isinstance(self.form, Choice) and text.strip() in self.form.options:
            return orjson.dumps({self.key: text.strip()}).decode()
        return text


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Decides for each form and remembers the forms that the upstream refused in this process."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    """The capabilities that all targets share."""
    _refused: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def enforced(self, schema: Schema) -> Enforced | None:
        """Return the enforced form of ``schema``; None if only the prompt carries it.

        A schema that is too large or deep to compile fast is put into the prompt, and the upstream
        only enforces a JSON object.
        """
        closed = _closed(schema) if self.capabilities.choice else None
        if closed is not None:
            return closed
        if not self.capabilities.structured_output:
            return None
        if not schema.get("properties") or not small(schema):
            return Enforced(JsonObject(), schema)
        return Enforced(JsonSchema(NAME, grammar(schema)), schema)

    def refuse(self, enforced: Enforced) -> None:
        """Remember that the upstream refused the form."""
        self._refused[enforced.digest] = None
        if len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)

    def refused(self, enforced: Enforced) -> bool:
        """Return whether the upstream has refused the form."""
        return enforced.digest in self._refused


def _closed(schema: Schema) -> Enforced | None:
    """Return a choice for a schema with one required property out of a few texts, else None."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    if len(properties) != 1 or set(schema) - _CLOSED:
        return None
    ((key, part),) = properties.items()
    if schema.get("required") != [key] or set(part) - _LISTED:
        return None
    options = part.get("enum", ())
    if not 1 < len(options) <= MAX_OPTIONS:
        return None
    if not all(
        isinstance(option, str) and option and option == option.strip() for option in options
    ):
        return None
    return Enforced(Choice(tuple(options)), schema, key)


_CLOSED = frozenset(
    {"type", "properties", "required", "additionalProperties", "title", "description"}
)
_LISTED = frozenset({"type", "enum", "title", "description", "default", "examples"})
