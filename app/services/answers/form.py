"""The form an answer must have: what the prompt says of it, and what is held against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from app.services.answers.found import objects

AnswerT = TypeVar("AnswerT")
AnswerT_co = TypeVar("AnswerT_co", covariant=True)
ModelT = TypeVar("ModelT", bound=BaseModel)

SHOWN = 8
"""Faults told to the model; more would not fit a repair prompt."""


class AnswerError(ValueError):
    """An answer is not of the form asked for."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
        """One line each, with the place of the fault; never the whole answer."""


class Form(Protocol[AnswerT_co]):
    """What an answer must be."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema that the prompt carries."""
        ...

    def check(self, value: dict[str, object]) -> AnswerT_co:
        """Return the answer in ``value``, or raise AnswerError."""
        ...


@dataclass(frozen=True, slots=True)
class Model(Generic[ModelT]):
    """The form that a Pydantic model describes."""

    type: type[ModelT]

    @property
    def schema(self) -> dict[str, Any]:
        """The model's JSON Schema, references resolved, without what a prompt can do without."""
        return compact(self.type.model_json_schema(by_alias=True))

    def check(self, value: dict[str, object]) -> ModelT:
        """Return ``value`` as the model, or raise AnswerError."""
        try:
            return self.type.model_validate(value)
        except ValidationError as error:
            raise AnswerError(tuple(_faults(error))) from error


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False)[:SHOWN]:
        place = ".".join(map(str, fault["loc"])) or "the object"
        yield f"{place}: {fault['msg']}"


def read(text: str, form: Form[AnswerT]) -> AnswerT:
    """Return the answer in ``text``, or raise AnswerError with what is wrong with the likeliest."""
    first: AnswerError | None = None
    for value in objects(text):
        try:
            return form.check(value)
        except AnswerError as error:
            first = first or error
    raise first or AnswerError(("there is no JSON object in the answer",))


_DROPPED = ("title", "default", "$defs")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a Pydantic schema with its references resolved and its noise dropped.

    Only for schemas of our own: a caller's may refer to itself.
    """
    definitions = schema.get("$defs", {})

    def resolved(part: Any, named: bool = False) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            target = definitions[part["$ref"].rpartition("/")[2]]
            part = {**target, **{k: v for k, v in part.items() if k != "$ref"}}
        # Below "properties" the keys are names of fields, which may be "title".
        kept = part if named else {k: v for k, v in part.items() if k not in _DROPPED}
        return {key: resolved(value, key == "properties") for key, value in kept.items()}

    result: dict[str, Any] = resolved(schema)
    result.pop("description", None)
    return result
