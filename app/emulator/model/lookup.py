"""Finds the line that answers a question: ``Total: 42.10`` answers what the total is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.emulator.model.sight.text_lines import Line, TextLines
from app.emulator.model.wording import meaningful, stem, tokens

_COLON = re.compile(r"\s*[:\uff1a=]\s*")
_NUMBER = re.compile(r"[-+]?\d[\d.,'\u00a0]*")
_AMOUNT = re.compile(r"[^\w\s]?\s?-?\d[\d.,']*\s?(?:[^\w\s]|[A-Z]{3})?")
_TRAILING = re.compile(r"^(?P<label>.*?[^\W\d_].*?)\s+(?P<value>[^\w\s]?-?\d[\d.,]*\s?[^\w\s]?%?)$")


@dataclass(frozen=True, slots=True)
class LabelledValue:
    """A value and the label beside it."""

    label: str
    value: str
    line: Line


def labelled(lines: TextLines) -> Iterator[LabelledValue]:
    """Yield the lines of the form ``label: value``, or of words with a number behind."""
    for line in lines.lines:
        parts = _COLON.split(line.text, maxsplit=1)
        trailing = _TRAILING.match(line.text)
        if len(parts) == 2 and all(parts):
            yield LabelledValue(parts[0], parts[1], line)
        elif trailing:
            yield LabelledValue(trailing["label"], trailing["value"], line)


def amounts(lines: TextLines) -> Iterator[LabelledValue]:
    """Yield the labelled lines whose value is a number, with or without a sign of currency."""
    return (line for line in labelled(lines) if _AMOUNT.fullmatch(line.value.strip()))


def answering(lines: TextLines, question: str) -> LabelledValue | None:
    """Return the labelled line whose label shares most words with the question, if any does."""
    asked = set(map(stem, meaningful(question)))
    best, most = None, 0.0
    for candidate in labelled(lines):
        label = {stem(token) for token in tokens(candidate.label)}
        # Of two labels with as many words asked for, the shorter says it better.
        shared = len(asked & label)
        score = shared + shared / (1 + len(label)) if shared else 0.0
        if score > most:
            best, most = candidate, score
    return best


def number(text: str) -> float | None:
    """Return the first number in a text; ``1,234.50`` and ``42,10`` are both read rightly."""
    match = _NUMBER.search(text)
    if match is None:
        return None
    digits = match[0].replace("\u00a0", "").replace("'", "").rstrip(".,")
    whole, mark, cents = digits.rpartition(max(".,", key=digits.rfind))
    if mark and (len(cents) != 3 or mark == "."):
        digits = f"{re.sub(r'[.,]', '', whole)}.{cents}"
    else:
        digits = re.sub(r"[.,]", "", digits)
    return float(digits)
