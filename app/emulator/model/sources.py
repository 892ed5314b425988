"""Answers to questions about numbered sources in a prompt: a quote from one, or that none answers.

Sources stand between tags with a number, ``<source_1>…</source_1>``, and the question between
``<question>`` tags. Nothing is made up: what is answered is a sentence of a source as it stands
there, and the words of a picture that is a source.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.emulator.model.sight.text_lines import TextLines
from app.emulator.model.wording import meaningful, stem, tokens

_SOURCE = re.compile(r"<source_(?P<n>\d{1,3})>(?P<text>.*?)</source_(?P=n)>", re.DOTALL)
_OPEN, _CLOSE = "<question>", "</question>"
_PICTURE = re.compile(r"^This source is picture (\d+)\.$", re.MULTILINE)
_OWN = re.compile(r"^The caller's own picture is picture (\d+)\.\n", re.MULTILINE)
_NAME = re.compile(r"^Document: (.*)$", re.MULTILINE)
_TOLD = re.compile(r"^(?:Document: |This source is |Text that stands for).*\n?", re.MULTILINE)
_INSTEAD = re.compile(r"answer with exactly \"([^\"\n]{1,60})\"")
_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LEAST = 0.5
"""Share of the question's words that a source has to hold."""
_LONGEST = 400
"""Characters of a quote."""


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """One source of a prompt."""

    number: int
    name: str
    text: str
    read: bool = False
    """Whether its text was read in a picture here, so that it can't be quoted as a text."""


@dataclass(frozen=True, slots=True)
class BestSentence:
    """The sentence that answers best."""

    source: NumberedSource
    sentence: str


@dataclass(frozen=True, slots=True)
class SourcedQuestion:
    """A question, its sources, and the reply where none of them answers."""

    question: str
    sources: tuple[NumberedSource, ...]
    instead: str

    def answer(self) -> BestSentence | None:
        """Return the best sentence, None if no source holds enough of the question."""
        asked = list(dict.fromkeys(map(stem, meaningful(self.question))))
        if not asked:
            return None
        best, most = None, 0.0
        for source in self.sources:
            known = set(map(stem, tokens(f"{source.name}\n{source.text}")))
            if _share(asked, known) < _LEAST:
                continue
            for sentence in sentences(source.text):
                held = set(map(stem, tokens(sentence)))
                # Of sentences that hold as much the shorter says it better, and a number answers.
                score = _share(asked, held) + 0.1 * _share(asked, known)
                score += 0.05 * any(character.isdigit() for character in sentence)
                score -= 0.001 * len(tokens(sentence))
                if score > most and _share(asked, held) > 0:
                    best, most = BestSentence(source, sentence), score
        return best


def _share(asked: Sequence[str], held: set[str]) -> float:
    return sum(word in held for word in asked) / len(asked)


def sentences(text: str) -> Iterator[str]:
    """Yield a text's sentences, and its lines, as they stand in it but for blanks at their ends."""
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        flat = paragraph.replace("\n", " ").strip()
        for sentence in _END.split(flat):
            if len(sentence.split()) > 1 and len(sentence) <= _LONGEST:
                yield sentence.strip()
        lines = paragraph.split("\n")
        if len(lines) > 1:
            yield from (line.strip() for line in lines if len(line.split()) > 1)


def sourced_question(text: str, readings: Sequence[TextLines]) -> SourcedQuestion | None:
    """Return the question about sources that a prompt asks, None if it is of another kind.

    ``readings`` are the words of the prompt's pictures, in order.
    """
    question = text.rpartition(_OPEN)[2].partition(_CLOSE)[0] if _OPEN in text else ""
    matches = _SOURCE.finditer(text) if question else ()
    bodies = {int(match["n"]): match["text"] for match in matches}
    if not bodies:
        return None
    sources = (_source(number, body, readings) for number, body in sorted(bodies.items()))
    instead = _INSTEAD.search(text)
    return SourcedQuestion(
        _about_own(question, readings),
        tuple(sources),
        instead[1] if instead else "The sources do not say.",
    )


def _about_own(question: str, readings: Sequence[TextLines]) -> str:
    """Return the question with the words of the picture that it is about."""
    own = _OWN.search(question)
    if own is None:
        return question.strip()
    place, rest = int(own[1]) - 1, _OWN.sub("", question).strip()
    return f"{rest}\n{readings[place].text}" if 0 <= place < len(readings) else rest


def _source(number: int, body: str, readings: Sequence[TextLines]) -> NumberedSource:
    name, shown = _NAME.search(body), _PICTURE.search(body)
    text = _TOLD.sub("", body).strip()
    place = int(shown[1]) - 1 if shown else -1
    read = not text and 0 <= place < len(readings)
    return NumberedSource(
        number, name[1] if name else "", readings[place].text if read else text, read
    )


def in_words(question: SourcedQuestion) -> str:
    """Return an answer with a marker, or the prompt's reply for want of one."""
    best = question.answer()
    if best is None:
        return question.instead
    marker = f"[{best.source.number}]"
    if best.source.read:
        return f"The picture says: {best.sentence} {marker}"
    if '"' in best.sentence:
        return f"{best.sentence} {marker}"
    return f'"{best.sentence}" {marker}'


def in_form(question: SourcedQuestion, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return an answer under a schema of sentences with their sources; None under another."""
    properties = schema.get("properties", {})
    if not {"answered", "sentences"} <= properties.keys():
        return None
    best = question.answer()
    if best is None:
        return {"answered": False, "sentences": []}
    words = f"The picture says: {best.sentence}" if best.source.read else best.sentence
    quote = None if best.source.read else best.sentence
    entry = {"text": words, "sources": [best.source.number], "quote": quote}
    return {"answered": True, "sentences": [entry]}
