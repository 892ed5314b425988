"""Field types that accept an 11B model's usual spellings but never change a value."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from app.services.answers.schemas.conform import folded
from app.services.answers.text.notes import Notes
from app.services.answers.text.numbers import Hints, NumberError, number
from app.services.answers.text.quotation import Partial
from app.services.answers.text.scan import Bare
from app.services.answers.text.words import NO_NUMBER, boolean, nothing

ItemT = TypeVar("ItemT")


def notes_of(info: ValidationInfo) -> Notes:
    """Return the notes of the current reading, or notes to discard outside a reading."""
    return info.context if isinstance(info.context, Notes) else Notes()


def _listed(value: object) -> object:
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    return [item for item in items if not isinstance(item, Partial)]


def _spoken(value: object) -> object:
    """Convert a number or a boolean to its text, and a list to lines."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and value and all(_is_line(item) for item in value):
        return "\n".join(str(_spoken(item)) for item in value if item is not None)
    return str(value) if isinstance(value, str) else value


def lone_text(value: object) -> object:
    """Return the only text of an object like ``{"step": 1, "text": "a cat"}``, else ``value``."""
    if isinstance(value, dict):
        words = [v for v in value.values() if isinstance(v, str) and not isinstance(v, Bare)]
        return words[0] if len(words) == 1 else value
    return value


def _is_line(item: object) -> bool:
    return item is None or isinstance(item, str | int | float)


def _blank(value: object) -> object:
    return "" if value is None else value


def absent(value: object) -> object:
    """Convert the usual words for nothing to null."""
    return None if isinstance(value, str) and nothing(value, NO_NUMBER) else value


def _numbered(hints: Hints) -> Callable[[object, ValidationInfo], object]:
    def read(value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool):
            raise ValueError(f"{str(value).lower()} is not a number")
        if not isinstance(value, str):
            return value
        own = replace(hints, bare=isinstance(value, Bare), decimal=notes_of(info).decimal)
        try:
            return number(value, own)
        except NumberError as error:
            raise ValueError(str(error)) from error

    return read


share = _numbered(Hints(share=True))


def _true(value: object) -> object:
    if isinstance(value, str) and (truth := boolean(value)) is not None:
        return truth
    return value


def sparing(schema: dict[str, Any]) -> tuple[WrapValidator, WithJsonSchema]:
    """Return a validator that accepts null if the answer was cut off or can't be repaired."""
    return WrapValidator(_spared), WithJsonSchema(schema)


def _spared(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    """Accept null only if the answer was cut off or can't be repaired."""
    notes = notes_of(info)
    if value is None and not (notes.cut or notes.lenient):
        raise ValueError("Field required")
    return None if value is None else handler(value)


def _optional_text(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Convert null and empty text to None, since the model says that there is no value."""
    return None if value is None or value == "" else handler(value)


def word(synonyms: dict[str, str], *, kind: str, other: str | None = None) -> BeforeValidator:
    """Return a validator that reads a word in any case, spelling or usual language.

    ``synonyms`` map folded words to values. Unknown words become ``other``, with a warning, or are
    kept in lower case if ``other`` is None.
    """

    def read(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        own = folded(value)
        if own in synonyms:
            return synonyms[own]
        if other is None or not own:
            return value.strip().lower()
        notes_of(info).say(
            "word_unknown", f"The {kind} {value[:60]!r} is unknown; it was read as {other}."
        )
        return other

    return BeforeValidator(read)


def synonyms(**words: str) -> dict[str, str]:
    """Return a table for `word` from comma-separated synonyms of each word."""
    return {
        folded(text): name
        for name, line in words.items()
        for text in (name, *line.split(","))
        if folded(text)
    }


def trimmed(most: int, what: str) -> BeforeValidator:
    """Return a validator that keeps the first ``most`` entries of a list and adds a warning."""

    def read(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any list
        if isinstance(value, list) and len(value) > most:
            notes_of(info).say(
                "answer_trimmed", f"The answer has {len(value)} {what}; the first {most} were kept."
            )
            return value[:most]
        return value

    return BeforeValidator(read)


def shortened(most: int, what: str) -> BeforeValidator:
    """Return a validator that cuts a text to ``most`` characters at a word and adds a warning."""

    def read(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any text
        text = " ".join(value.split()) if isinstance(value, str) else value
        if not isinstance(value, str) or len(text) <= most:
            return value
        notes_of(info).say(
            "answer_trimmed",
            f"The {what} has {len(text)} characters and was cut to {most}; `generation` has all.",
        )
        return text[: most - 1].rsplit(" ", 1)[0].rstrip(" ,;:.-") + "…"

    return BeforeValidator(read)


def parted(value: object) -> object:
    """Split a text such as ``cat, tabby`` or ``#cat #tabby`` into its words."""
    if isinstance(value, str) and (re.search(r"[,;\n]", value) or value.count("#") > 1):
        return [part.strip() for part in re.split(r"[,;\n]|\s(?=#)", value) if part.strip()]
    return value


_TEXT_KEYS = frozenset({"text", "description", "content", "value", "step", "difference", "detail"})
_NUMBERED = re.compile(r"(?:step|schritt|item|no)?[\W_]*\d+", re.IGNORECASE)


def _entries(value: object) -> object:
    """Convert a text to its lines and an object to ``key: text`` entries, without empty ones."""
    if isinstance(value, str):
        value = value.splitlines()
    elif isinstance(value, dict) and not _TEXT_KEYS & {folded(str(key)) for key in value}:
        entries = {key: text for key, text in value.items() if isinstance(text, str)}
        if len(entries) < len(value):
            return value
        value = [v if _NUMBERED.fullmatch(k) else f"{k}: {v}" for k, v in entries.items()]
    if not isinstance(value, list):
        return value
    return [e for e in value if e is not None and not (isinstance(e, str) and nothing(e.strip()))]


Listed = Annotated[list[ItemT], BeforeValidator(_listed)]
"""A list; a single value becomes a list of one, null an empty list."""
Text = Annotated[str, BeforeValidator(_spoken)]
"""A text; a number is converted to its text, a list to lines."""
Sentence = Annotated[Text, BeforeValidator(lone_text)]
"""An entry of a list of texts; an object with a single text becomes that text."""
Sentences = Annotated[Listed[Sentence], BeforeValidator(_entries)]
"""A list of texts; a single text is split into lines, an object into its entries."""
Words = Annotated[str, BeforeValidator(_spoken), BeforeValidator(_blank)]
"""A text that may be empty; null becomes empty."""
Nullable = Annotated[ItemT | None, BeforeValidator(absent)]
"""A value or null; the usual words for nothing become null."""
Truth = Annotated[bool, BeforeValidator(_true)]
"""A boolean; the usual words for yes and no are accepted."""
Number = Annotated[float, BeforeValidator(_numbered(Hints()))]
"""A number; a text is accepted if it can be read in only one way."""
Reading = Annotated[
    float, Field(allow_inf_nan=False), BeforeValidator(_numbered(Hints(approximate=True)))
]
"""A number read off a scale; ``about 15`` is read as 15."""
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(share)]
"""A fraction from 0 to 1, written as such, as ``85 %`` or as ``8/10``. A bare 85 is refused,
since a bare 1 could mean 1 % or everything."""
SparedText = Annotated[
    str | None,
    WrapValidator(_optional_text),
    BeforeValidator(_spoken),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""An optional text; null if there is none or the answer was cut off before it."""
