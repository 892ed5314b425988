"""Facts about a picture, found by the names of an answer's properties."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from app.emulator.model import descriptions, lookup
from app.emulator.model.lookup import LabelledValue
from app.emulator.model.question import Question
from app.emulator.model.sight.pixels import Pixels
from app.emulator.model.sight.text_lines import Box, Line, TextLines, Word, cells
from app.emulator.model.wording import meaningful, tokens

_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b|\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ALL_TEXT = {"text", "transcription", "transcript", "markdown", "content", "ocr", "generation"}
_LINES = {"lines", "words", "texts", "paragraphs", "readings"}
_TOLD = {
    "description",
    "caption",
    "summary",
    "alt",
    "scene",
    "shows",
    "insight",
    "explanation",
    "reason",
    "why",
}
_NAMED = {"title", "heading", "headline", "vendor", "merchant", "store", "seller", "company"}
_QUOTE = {"quote", "evidence", "excerpt", "source"}
_TAGS = {"tags", "keywords", "labels", "objects"}
_COLOURS = {"colour", "color", "colours", "colors", "palette"}
_LABEL = {"label", "name", "item", "key", "field", "category", "x", "phrase", "description"}
_VALUE = {"value", "amount", "price", "total", "cost", "number", "y", "figure"}
_BOUGHT = {"items", "products", "positions", "goods", "articles"}
_SUMMED = {"total", "subtotal", "sum", "tax", "vat", "change", "cash", "balance", "tip"}
_SHARE = {"score", "relevance", "confidence", "probability", "similarity"}
_FOUND = {"found", "present", "relevant", "match", "matches", "contains", "visible", "exists"}
_BOX = {"box", "bbox", "boxes", "bounding", "region", "rectangle", "coordinates", "location"}
_SURE = 0.5
_YES, _NO = {"yes", "true", "y", "ja", "oui", "si"}, {"no", "false", "n", "nein", "non"}
_Side = Callable[[Box], float]


@dataclass(frozen=True, slots=True)
class Facts:
    """A picture and the question about it, or one line of the picture."""

    question: Question
    pixels: Pixels | None
    lines: TextLines
    only: LabelledValue | None = None
    """The subject of a list's entry."""

    def nothing(self) -> "Facts":
        """Return the same question about an empty picture."""
        return replace(self, pixels=None, lines=TextLines(), only=None)

    def says(self, option: str, name: str) -> bool:
        """Whether a word of a fixed choice is in the picture or describes it."""
        wanted = " ".join(tokens(option))
        if set(tokens(_key(name))) & _SHARE and wanted in ("low", "medium", "high"):
            return wanted == ("high" if self.relevance >= _SURE else "low")
        beside = self._beside(name)
        texts = [beside.value if beside else "", self.lines.text, *descriptions.words(self.pixels)]
        return any(f" {wanted} " in f" {' '.join(tokens(text))} " for text in texts)

    def text_for(self, name: str) -> str:
        """Return the text that a property of this name should hold, empty if there is none."""
        key = set(tokens(_key(name)))
        if self.only is not None:
            return self._of_entry(key)
        if key & _ALL_TEXT:
            return self.lines.text
        if key & {"answer"}:
            return self._answer()
        beside = self._beside(name)
        if beside is not None:
            return beside.value
        return self._known(key)

    def _known(self, key: set[str]) -> str:
        if key & _TOLD:
            return descriptions.sentence(self.pixels)
        if key & _QUOTE:
            line = lookup.answering(self.lines, self.question.query)
            return line.line.text if line else ""
        if key & _NAMED and self.lines.lines:
            return self.lines.lines[0].text
        if key & _COLOURS and self.pixels:
            return self.pixels.colours[0][0]
        if "orientation" in key and self.pixels:
            return self.pixels.orientation
        pattern = _DATE if "date" in key else _EMAIL if "email" in key or "mail" in key else None
        match = pattern.search(self.lines.text) if pattern else None
        return match[0] if match else ""

    def _of_entry(self, key: set[str]) -> str:
        assert self.only is not None
        if key & _VALUE:
            return self.only.value
        if key & (_LABEL | _QUOTE) and self.only.label:
            return self.only.label
        return self.only.line.text if key & (_ALL_TEXT | _QUOTE | {"line", "word"}) else ""

    def _answer(self) -> str:
        line = lookup.answering(self.lines, self.question.query)
        if line is not None:
            return line.value
        if self.question.wants_text:
            return self.lines.text
        return descriptions.sentence(self.pixels) if not self.question.specific else ""

    def _beside(self, name: str) -> LabelledValue | None:
        key, _, description = name.partition("\n")
        return lookup.answering(self.lines, key) or (
            lookup.answering(self.lines, description) if description.strip() else None
        )

    def texts_for(self, name: str) -> list[str]:
        """Return the texts that a list of this name should hold."""
        if self.only is not None:
            return []
        key = set(tokens(_key(name)))
        if key & (_LINES | _ALL_TEXT):
            return [line.text for line in self.lines.lines]
        if key & (_TAGS | _COLOURS):
            return descriptions.tags(self.pixels)
        if key & {"steps", "findings", "observations"}:
            answer = self._answer()
            return [answer] if answer else []
        if key & _QUOTE:
            quote = self._known(key)
            return [quote] if quote else []
        return []

    def rows_for(self, name: str) -> list[list[str]]:
        """Return the picture's lines as rows of cells."""
        if self.pixels is None or not set(tokens(name)) & {"table", "tables", "rows", "cells"}:
            return []
        aspect = self.pixels.width / self.pixels.height
        return [cells(line, aspect) for line in self.lines.lines]

    def number_for(self, name: str) -> float | None:
        """Return the number known under this name."""
        key = set(tokens(_key(name)))
        if self.only is not None and key & _SHARE:
            return round(self.only.line.score, 4)
        if key & _SHARE:
            return self.relevance
        if self.pixels is not None and key & {"width", "height"}:
            return self.pixels.width if "width" in key else self.pixels.height
        return None

    @property
    def relevance(self) -> float:
        """The share of the question's own words that the picture holds or is described by, 0-1."""
        asked = set(meaningful(self.question.query))
        known = self.lines.words() | {w for t in descriptions.words(self.pixels) for w in tokens(t)}
        return round(len(asked & known) / len(asked), 4) if asked else 0.0

    def truth(self, name: str) -> bool | None:
        """Return whether a statement is true; None if the picture does not show it."""
        if set(tokens(_key(name))) & _FOUND:
            return self.relevance > 0
        beside = self._beside(name)
        said = set(tokens(beside.value)) if beside else set()
        return True if said & _YES else (False if said & _NO else None)

    def box_for(self, name: str) -> Box | None:
        """Return the box that a property of this name should hold."""
        if self.only is not None:
            return self.only.line.box
        places = [box for phrase in self.question.sought for box in self.lines.places(phrase)]
        if places:
            return places[0]
        beside = self._beside(name)
        return beside.line.box if beside else None

    def each(self, name: str, keys: list[str]) -> Iterator["Facts"]:
        """Yield the facts for each entry of a list of objects with these properties."""
        if self.only is not None:
            return  # An entry has no entries of its own: a line holds no other lines.
        named = {token for key in keys for token in tokens(key)}
        boxed = bool(named & _BOX) or bool(box_sides(keys))
        if boxed and self.question.sought:
            for phrase in self.question.sought:
                for box in self.lines.places(phrase):
                    yield replace(self, only=_found(phrase, box))
        elif named & _LABEL and named & _VALUE:
            bought = bool(set(tokens(_key(name))) & _BOUGHT)
            for entry in lookup.amounts(self.lines):
                if not (bought and set(tokens(entry.label)) & _SUMMED):
                    yield replace(self, only=entry)
        elif boxed or named & (_ALL_TEXT | _LABEL | {"line", "word"}):
            for line in self.lines.lines:
                yield replace(self, only=LabelledValue(line.text, line.text, line))


def _found(phrase: str, box: Box) -> LabelledValue:
    return LabelledValue(phrase, phrase, Line((Word(phrase, box),), 1.0))


def _key(name: str) -> str:
    return name.partition("\n")[0]


def names_box(name: str) -> bool:
    """Whether a property of this name holds a box."""
    return bool(set(tokens(_key(name))) & _BOX)


_CORNERS: tuple[_Side, ...] = (lambda b: b[0], lambda b: b[1], lambda b: b[2], lambda b: b[3])
_EXTENT: tuple[_Side, ...] = (
    lambda b: b[0],
    lambda b: b[1],
    lambda b: round(b[2] - b[0], 4),
    lambda b: round(b[3] - b[1], 4),
)
_SPELLINGS: tuple[tuple[str, tuple[_Side, ...]], ...] = (
    ("x0 y0 x1 y1", _CORNERS),
    ("x1 y1 x2 y2", _CORNERS),
    ("x_min y_min x_max y_max", _CORNERS),
    ("xmin ymin xmax ymax", _CORNERS),
    ("left top right bottom", _CORNERS),
    ("x y width height", _EXTENT),
    ("x y w h", _EXTENT),
    ("left top width height", _EXTENT),
)


def box_sides(keys: list[str]) -> Mapping[str, _Side]:
    """Return the functions for a box's sides by name; empty if ``keys`` name no box."""
    for spelling, makers in _SPELLINGS:
        names = spelling.split()
        if set(names) <= set(keys):
            return dict(zip(names, makers, strict=True))
    return {}


def iso_date(text: str) -> str:
    """Return the first date in a text as ``yyyy-mm-dd``, empty if there is none."""
    match = _DATE.search(text)
    if match is None:
        return ""
    year, month, day = match.group(1, 2, 3) if match[1] else match.group(6, 5, 4)
    return f"{year}-{int(month):02}-{int(day):02}"
