"""Answers under a constraint that is enforced during generation, as with imported models."""

import re
from collections.abc import Callable

import orjson

from app.emulator.model import lookup
from app.emulator.model.facts import Facts
from app.emulator.model.forms import pattern, schema_answer
from app.emulator.model.logprobs import SpokenAnswer
from app.emulator.model.wording import tokens
from app.emulator.wire.bodies.conversation import Constraint
from app.emulator.wire.errors import refused_by_model

_YES, _NO = "yes", "no"
_NEITHER = ("none", "unknown", "other", "not_found", "n/a", "unclear")
_SURE, _UNSURE = 0.95, 0.55


def answer(constraint: Constraint, facts: Facts, free: Callable[[], str]) -> SpokenAnswer:
    """Return an answer that keeps the constraint, or raise the 400 where none is found.

    ``free`` returns the answer without a constraint.
    """
    if constraint.choices:
        return _choice(constraint.choices, facts)
    if constraint.pattern is not None:
        return SpokenAnswer(_matching(constraint.pattern, facts), confidence(facts))
    schema = constraint.schema or facts.question.schema
    if not schema:
        return SpokenAnswer(orjson.dumps({"answer": free()}).decode(), confidence(facts))
    try:
        filled = schema_answer.filled(schema, facts)
        return SpokenAnswer(orjson.dumps(filled).decode(), confidence(facts))
    except schema_answer.UNFOLLOWED as error:
        raise refused_by_model(f"the JSON Schema can't be followed: {error!r}") from None


def confidence(facts: Facts) -> float:
    """Return an answer's confidence, 0 to 1: by the question's words in the picture."""
    return round(_UNSURE + (_SURE - _UNSURE) * facts.relevance, 4)


def _choice(choices: tuple[str, ...], facts: Facts) -> SpokenAnswer:
    folded = {choice.casefold(): choice for choice in choices}
    if {_YES, _NO} <= folded.keys():
        share = facts.relevance
        said, sure = (folded[_YES], share) if share else (folded[_NO], 1.0)
        return SpokenAnswer(said, _UNSURE + (_SURE - _UNSURE) * sure, choices)
    said_in_picture = [c for c in choices if tokens(c) and facts.says(c, "")]
    if said_in_picture:
        return SpokenAnswer(max(said_in_picture, key=len), _SURE, choices)
    evasive = next((folded[word] for word in _NEITHER if word in folded), choices[0])
    # As likely as every other choice, and a little more: it is the one that is taken.
    return SpokenAnswer(evasive, min(1 / len(choices) + 0.05, _SURE), choices)


def _matching(wanted: str, facts: Facts) -> str:
    """Return a text of the picture that matches the pattern, else any that does."""
    compiled = re.compile(wanted)
    beside = lookup.answering(facts.lines, facts.question.query)
    lines = [line.text for line in facts.lines.lines]
    for text in [*([beside.value] if beside else []), *lines, *_words(lines)]:
        if compiled.fullmatch(text):
            return text
    try:
        return pattern.example(wanted)
    except pattern.UnsupportedPatternError as error:
        raise refused_by_model(str(error)) from None


def _words(lines: list[str]) -> list[str]:
    return [word for line in lines for word in line.split()]
