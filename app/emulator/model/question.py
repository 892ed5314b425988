"""Finds what a prompt asks for: an answer under a JSON Schema, the text, a place, or a word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError, JSONDecoder
from typing import Any

from app.emulator.model import skeleton
from app.emulator.model.wording import meaningful, tokens
from app.emulator.wire.bodies.conversation import Ask

_TEXT = re.compile(
    r"\b(?:ocr|read|transcri\w+|what(?:'s| is| does| are)?\b[^.?]*\b(?:text|words?|written|say)"
    r"|(?:all|the|any) (?:text|words)|texts?\b[^.?]*\b(?:in|on|of) (?:the|this))\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:where|locate|location|ground\w*|bounding|position|find|point (?:at|to)|box(?:es)?)\b",
    re.IGNORECASE,
)
# The ways in which prompts set quoted words apart from the question.
_QUOTED = re.compile(
    r"<(?P<tag>\w+)>\s*(?P<tagged>.*?)\s*</(?P=tag)>|```\w*\s*(?P<fenced>.*?)\s*```"
    r"|\"\"\"(?P<long>.*?)\"\"\"|\"(?P<double>[^\"\n]+)\"|“(?P<curly>[^”\n]+)”|«(?P<angle>[^»\n]+)»"
    r"|(?<!\w)'(?P<single>[^'\n]+)'(?!\w)|`(?P<tick>[^`\n]+)`"
    r"|^\s*[-*]\s+(?P<item>\S[^\n]*)$",
    re.DOTALL | re.MULTILINE,
)
# Words of questions that any picture's pixels answer.
_VISUAL = frozenset(
    tokens(
        "describe description caption colour colours color colors bright brightness dark light"
        " sharp sharpness size width height wide tall orientation landscape portrait picture image"
        " photo pictures images photos each all sentence sentences short brief detail detailed "
        " two three one few main dominant"
    )
)
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
# Characters of a prompt, from its end, in which anything is looked for.
_CONSIDERED = 50_000
_decoder = JSONDecoder()


@dataclass(frozen=True)
class Question:
    """A prompt, as far as the emulator understands it."""

    text: str
    """The last user turn, without the schema."""
    schema: dict[str, Any] | None
    """The largest JSON Schema in the prompt or system text."""

    @cached_property
    def wants_text(self) -> bool:
        """Whether it asks which words are in the picture."""
        return _TEXT.search(self.text) is not None

    @cached_property
    def wants_place(self) -> bool:
        """Whether it asks where something is."""
        return _PLACE.search(self.text) is not None

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Texts that are quoted, fenced, tagged or listed in it, in order."""
        quotes = (_quote(match) for match in _QUOTED.finditer(self.text))
        return tuple(dict.fromkeys(phrase.strip() for phrase in quotes if phrase.strip()))

    @property
    def sought(self) -> tuple[str, ...]:
        """Phrases to locate, in a question for a place."""
        return self.phrases if self.wants_place else ()

    @property
    def query(self) -> str:
        """The words to look for: the phrases, or the whole text if there are none."""
        return " ".join(self.phrases) or self.text

    @property
    def specific(self) -> bool:
        """Whether it asks for more than the picture's appearance."""
        return bool(set(meaningful(self.query)) - _VISUAL)

    def words_in(self, read: set[str]) -> tuple[str, ...]:
        """Return the question's words that are in ``read``, in their order."""
        return tuple(dict.fromkeys(word for word in meaningful(self.text) if word in read))

    @property
    def needs_reading(self) -> bool:
        """Whether words in the picture could matter; reading them costs a second of CPU."""
        return bool(self.schema is not None or self.wants_text or self.wants_place or self.specific)


def _quote(match: re.Match[str]) -> str:
    groups = match.groupdict("")
    return next((text for name, text in groups.items() if name != "tag" and text), "")


def parsed(ask: Ask) -> Question:
    """Return the question of an ask."""
    text = ask.question[-_CONSIDERED:]
    schemas = [*_schemas(ask.system[-_CONSIDERED:]), *_schemas(text)]
    largest = max(schemas, key=lambda form: len(form[0]), default=("", None))
    for source, _ in schemas:
        text = text.replace(source, " ")
    return Question(" ".join(text.split(" ")).strip(), largest[1])


def _schemas(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each JSON Schema or skeleton written in a text, with its source."""
    start = text.find("{")
    while start >= 0:
        form, end = _form(text, start)
        if form is not None:
            yield text[start:end], form
        start = text.find("{", end)


def _form(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """Return the schema or skeleton at ``start``, and where to continue."""
    try:
        form, end = _decoder.raw_decode(text, start)
        return (form if _is_schema(form) else None), end
    except (JSONDecodeError, RecursionError):
        pass
    try:
        return skeleton.parsed(text, start)
    except (skeleton.NoSkeletonError, RecursionError):
        return None, start + 1


def _is_schema(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return any(k in _TYPES for k in kinds) or any(
        isinstance(value.get(key), dict | list) for key in ("properties", "$defs", "anyOf", "oneOf")
    )
