"""Answers of the emulator: in words, or in JSON if the prompt carries a schema."""

from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from app.emulator.model import descriptions, lookup, sources
from app.emulator.model.facts import Facts
from app.emulator.model.forms import constraint, schema_answer
from app.emulator.model.logprobs import SpokenAnswer
from app.emulator.model.question import Question
from app.emulator.model.sight.pixels import Pixels
from app.emulator.model.sight.text_lines import Box, TextLines
from app.emulator.wire.bodies.conversation import Ask

MARK = "[emulator]"
_OPENINGS = ("I see", "The picture shows", "This is", "Here is")
_ECHOED = 300


@dataclass(frozen=True, slots=True)
class Perception:
    """Everything perceived in the pictures of a call."""

    pixels: tuple[Pixels, ...] = ()
    """The pixels of each picture, in their order."""
    lines: TextLines | None = None
    """The lines of all pictures; None if there is no OCR engine or no need to read."""
    readings: tuple[TextLines, ...] = ()
    """The lines of each picture, in their order; empty if ``lines`` is None."""

    def facts(self, question: Question) -> Facts:
        """Return the facts that a question is answered from."""
        first = self.pixels[0] if self.pixels else None
        return Facts(question, first, self.lines or TextLines())


def answer(ask: Ask, question: Question, perceived: Perception, seed: int) -> SpokenAnswer:
    """Return the answer, or raise a 400 for a constraint that can't be followed."""
    sourced = sources.sourced_question(ask.question, perceived.readings)
    cited = None if sourced is None else _from_sources(ask, question, sourced)
    if cited is not None:
        return cited
    facts = perceived.facts(question)
    if ask.constraint is not None:
        free = partial(_in_words, ask, question, perceived, seed)
        return constraint.answer(ask.constraint, facts, free)
    if question.schema is not None and (begun := _begun(ask)):
        said = _under_schema(question.schema, facts).removeprefix(begun)
        return SpokenAnswer(said, constraint.confidence(facts))
    if question.schema is not None:
        return SpokenAnswer(_under_schema(question.schema, facts), constraint.confidence(facts))
    return SpokenAnswer(f"{MARK} {_in_words(ask, question, perceived, seed)}")


def _begun(ask: Ask) -> str:
    """Return the beginning of the answer that the prompt ends with, without blanks; else empty."""
    last = ask.turns[-1] if ask.turns else None
    return "".join(last.text.split()) if last and last.role == "assistant" else ""


def _from_sources(
    ask: Ask, question: Question, sourced: sources.SourcedQuestion
) -> SpokenAnswer | None:
    """Return the answer from the prompt's sources; None under another form."""
    if ask.constraint is None and question.schema is None:
        return SpokenAnswer(f"{MARK} {sources.in_words(sourced)}")
    schema = ask.constraint.schema if ask.constraint is not None else None
    formed = sources.in_form(sourced, schema or question.schema or {})
    return None if formed is None else SpokenAnswer(orjson.dumps(formed).decode())


def _under_schema(schema: dict[str, Any], facts: Facts) -> str:
    try:
        return orjson.dumps(schema_answer.filled(schema, facts)).decode()
    except schema_answer.UNFOLLOWED as error:
        # It only looked like a schema, for example because of an invalid reference or pattern.
        return f"{MARK} I can't follow the JSON Schema in the prompt: {error!r}"


def _in_words(ask: Ask, question: Question, perceived: Perception, seed: int) -> str:
    if not perceived.pixels:
        return f"No picture came with this. {_echoed(question)}"
    if perceived.lines is not None:
        said = _from_words(question, perceived.lines)
        if said:
            return said
    elif question.wants_text or question.wants_place:
        return (
            "I can't read words: the OCR engine is not installed or is switched off."
            f" I see {_described(perceived.pixels)}"
        )
    return f"{_opening(ask, seed)} {_described(perceived.pixels)} {_echoed(question)}"


def _described(pictures: tuple[Pixels, ...]) -> str:
    if len(pictures) == 1:
        return descriptions.details(pictures[0])
    details = (f"picture {n}: {descriptions.details(seen)}" for n, seen in enumerate(pictures, 1))
    return f"{len(pictures)} pictures; {' '.join(details)}"


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
    placed = [f'"{phrase}": {_boxes(lines.places(phrase))}' for phrase in phrases]
    if not placed:
        return "I find nothing of that in the picture's words."
    return f"Boxes as [left, top, right, bottom], 0 to 1. {'; '.join(placed)}."


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
