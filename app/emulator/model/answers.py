"""What the emulator says: in words, or in JSON where the prompt carries a schema."""

import re
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from app.emulator.model import descriptions, lookup, schema_answer
from app.emulator.model.facts import Facts
from app.emulator.model.pixels import Pixels
from app.emulator.model.question import Question
from app.emulator.model.text_lines import Box, TextLines
from app.emulator.wire.conversation import Ask

MARK = "[emulator]"
_OPENINGS = ("I see", "The picture shows", "This is", "Here is")
_ECHOED = 300


@dataclass(frozen=True, slots=True)
class Perception:
    """All that is known of the one picture of an ask."""

    pixels: Pixels | None = None
    lines: TextLines | None = None
    """None where nothing could read, or nobody asked."""


def answer(ask: Ask, question: Question, perceived: Perception, seed: int) -> str:
    """Return what there is to say."""
    if question.schema is not None:
        facts = Facts(question, perceived.pixels, perceived.lines or TextLines())
        return _under_schema(question.schema, facts)
    return f"{MARK} {_in_words(ask, question, perceived, seed)}"


def _under_schema(schema: dict[str, Any], facts: Facts) -> str:
    try:
        return orjson.dumps(schema_answer.filled(schema, facts)).decode()
    except (
        TypeError,
        ValueError,
        AttributeError,
        KeyError,
        IndexError,
        RecursionError,
        re.error,
    ) as error:
        # It looked like a schema and is none: a bad reference, a pattern that is no pattern.
        return f"{MARK} I can't follow the JSON Schema in the prompt: {error!r}"


def _in_words(ask: Ask, question: Question, perceived: Perception, seed: int) -> str:
    if perceived.pixels is None:
        return f"No picture came with this. {_echoed(question)}"
    if perceived.lines is not None:
        found = _from_words(question, perceived.lines)
        if found:
            return found
    elif question.wants_text or question.wants_place:
        return (
            "I can't read words: the OCR engine is not installed or is switched off."
            f" I see {descriptions.told(perceived.pixels)}"
        )
    return f"{_opening(ask, seed)} {descriptions.told(perceived.pixels)} {_echoed(question)}"


def _from_words(question: Question, lines: TextLines) -> str:
    if question.wants_place:
        return _placed(question, lines)
    answering = lookup.answering(lines, question.text)
    if answering is not None and not question.wants_text:
        return f'{answering.value} (the picture says "{answering.line.text}").'
    if question.wants_text:
        return f"The words in the picture:\n{lines.text}" if lines.lines else "I see no words."
    return ""


def _placed(question: Question, lines: TextLines) -> str:
    phrases = question.sought or question.words_in(lines.words())
    told = [f'"{phrase}": {_boxes(lines.places(phrase))}' for phrase in phrases]
    if not told:
        return "I find nothing of that in the picture's words."
    return f"Boxes as [left, top, right, bottom], 0 to 1. {'; '.join(told)}."


def _boxes(boxes: list[Box]) -> str:
    if not boxes:
        return "not found"
    return ", ".join(f"[{', '.join(f'{side:.4f}' for side in box)}]" for box in boxes)


def _opening(ask: Ask, seed: int) -> str:
    if ask.sampling.temperature == 0:
        return _OPENINGS[0]
    pictures = "".join(picture.sha256 for picture in ask.pictures)
    key = f"{seed}|{ask.prompt}|{pictures}|{ask.sampling}"
    return Random(sha256(key.encode()).digest()).choice(_OPENINGS)  # noqa: S311 - no secret


def _echoed(question: Question) -> str:
    return f'You asked: "{" ".join(question.text.split())[:_ECHOED]}".'
