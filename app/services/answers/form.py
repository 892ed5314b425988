"""The form that an answer must have: its schema for the prompt and its validation."""

from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import ValidationError, model_validator

from app.services.answers.schemas.conform import folded, renamed, texts
from app.services.answers.text.notes import AnswerError, Notes, Refusal
from app.services.answers.text.numbers import decimal_separator
from app.services.answers.text.quotation import Partial
from app.services.answers.text.refusal import refusal
from app.services.deferred_model import DeferredModel

AnswerT = TypeVar("AnswerT")
ModelT = TypeVar("ModelT", bound="ModelAnswer")

SHOWN = 8
"""Maximum faults in a repair prompt."""


class Form(Protocol[AnswerT]):
    """The form that an answer must have."""

    @property
    def gaps(self) -> bool:
        """Return whether an answer may be unfinished at its end if the rest is valid."""
        ...

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema for the prompt."""
        ...

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> AnswerT:
        """Return the answer in ``value``, or raise AnswerError."""
        ...

    def refusal(self, answer: AnswerT) -> tuple[AnswerT | None, Refusal | None]:
        """Return ``answer`` without refusals, None if nothing remains, and the first refusal."""
        ...


class ModelPart(DeferredModel):
    """A part of an answer whose keys may be spelled differently."""

    aliases: ClassVar[dict[str, str]] = {}
    """Folded alternative names, each with the key that it stands for."""

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return cls.spelt(value) if isinstance(value, dict) else value

    @classmethod
    def names(cls) -> list[str]:
        """Return the expected keys."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def spelt(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Return ``value`` with its keys renamed to the expected ones."""
        result = renamed(value, cls.names())
        for key in tuple(result):
            name = cls.aliases.get(folded(key))
            if name is not None and key not in cls.names() and name not in result:
                result[name] = result.pop(key)
        return result


class ModelAnswer(ModelPart):
    """The model's answer to a question of a task."""

    prose: ClassVar[frozenset[str]] = frozenset()
    """Text fields that are useful even if they are cut off."""
    spared: ClassVar[frozenset[str]] = frozenset()
    """Keys that may be missing if the answer was cut off or can't be repaired."""
    spoken: ClassVar[tuple[str, ...]] = ()
    """Fields in which the model may write a refusal instead of a value."""
    witness: ClassVar[str | None] = None
    """The field that quotes the image; a text that also occurs there is not a refusal."""

    def refused(self) -> Refusal | None:
        """Return a refusal written in place of a value, or None."""
        for name in self.spoken:
            text = getattr(self, name)
            refusal_text = refusal(text) if isinstance(text, str) else None
            seen = getattr(self, self.witness) if self.witness else None
            if refusal_text is not None and not (seen and folded(text[:60]) in folded(str(seen))):
                return refusal_text
        return None


class Model(Generic[ModelT]):
    """The form described by a Pydantic model."""

    __slots__ = ("type",)
    gaps = True

    def __init__(self, type: type[ModelT]) -> None:  # noqa: A002 - the plain word
        self.type = type

    @property
    def schema(self) -> dict[str, Any]:
        """Return the model's JSON Schema, resolved and reduced to what a prompt needs."""
        return _schema(self.type)

    def check(self, value: dict[str, Any], notes: Notes | None = None) -> ModelT:
        """Return ``value`` as the model, or raise AnswerError.

        A lenient reading leaves out invalid list entries and invalid values of spared keys.
        """
        notes = notes or Notes()
        notes.decimal = decimal_separator(texts(value))
        prepared = self._prepared(value, notes)
        for _ in range(3):
            try:
                return self.type.model_validate(prepared, context=notes)
            except ValidationError as error:
                if not notes.lenient or not _left_out(error, prepared, self.type.spared, notes):
                    raise AnswerError(tuple(_faults(error))) from error
        raise AnswerError(("too much of it is wrong",))

    def refusal(self, answer: ModelT) -> tuple[ModelT | None, Refusal | None]:
        """Return ``answer`` and None, or None and the refusal in it."""
        statement = answer.refused()
        return (answer, None) if statement is None else (None, statement)

    def _prepared(self, value: dict[str, Any], notes: Notes) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, member in self.type.spelt(value).items():
            if not isinstance(member, Partial):
                result[key] = member
            elif key in self.type.prose and (text := whole_words(member)):
                result[key] = text
        if notes.cut or notes.lenient:
            for name in self.type.spared:
                if result.get(name) is None:
                    result[name] = None
        return result


def whole_words(text: str) -> str:
    """Return ``text`` without its unfinished last word or last table row."""
    lines = text.splitlines(keepends=True)
    if len(lines) > 1 and lines[-1].lstrip().startswith("|"):
        return "".join(lines[:-1]).rstrip()
    if text[-1:].isspace():
        return text.rstrip()
    words = text.rsplit(None, 1)
    return words[0].rstrip() if len(words) > 1 else ""


def _left_out(
    error: ValidationError, value: dict[str, Any], spared: frozenset[str], notes: Notes
) -> bool:
    """Remove invalid parts from ``value`` in place, and return whether that was possible."""
    dropped: dict[str, set[int]] = {}
    for fault in error.errors(include_url=False, include_input=False):
        match fault["loc"]:
            case (str() as name, int() as index, *_) if isinstance(value.get(name), list):
                dropped.setdefault(name, set()).add(index)
            case (str() as name, *_) if name in spared and value.get(name) is not None:
                value[name] = None
                notes.say("value_left_out", f"{name} could not be read and is left out.")
            case _:
                return False
    for name, indexes in dropped.items():
        value[name] = [item for i, item in enumerate(value[name]) if i not in indexes]
        if not value[name]:
            return False
        places = ", ".join(f"{name}.{index}" for index in sorted(indexes)[:20])
        notes.say("entries_left_out", f"Could not be read and are left out: {places}.")
    return True


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False)[:SHOWN]:
        place = ".".join(map(str, fault["loc"])) or "the object"
        yield f"{place}: {fault['msg'].removeprefix('Value error, ')}"


@cache
def _schema(model: type[ModelAnswer]) -> dict[str, Any]:
    return compact(model.model_json_schema(by_alias=True))


_DROPPED = ("title", "default", "$defs")


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a Pydantic schema with references resolved and without titles and defaults.

    It is only for this service's own schemas, since a caller's may refer to itself.
    """
    definitions = schema.get("$defs", {})

    def resolved(part: Any, named: bool = False) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            target = dict(definitions[part["$ref"].rpartition("/")[2]])
            # A class's docstring is meant for readers of the code, not for the model.
            target.pop("description", None)
            part = {**target, **{k: v for k, v in part.items() if k != "$ref"}}
        # The keys below "properties" are field names, one of which may be "title".
        kept = part if named else {k: v for k, v in part.items() if k not in _DROPPED}
        return {key: resolved(value, key == "properties") for key, value in kept.items()}

    result: dict[str, Any] = resolved(schema)
    result.pop("description", None)
    return result
