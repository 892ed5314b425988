"""Matches the claims of a result with the readings that support them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from app.services.deferred_model import DeferredModel
from app.services.evidence.claim import Claim, Path
from app.services.evidence.search import Page, Sighting
from app.services.evidence.text import Match, tokens
from app.services.evidence.words import Word, around
from app.services.geometry import Box, View
from app.services.tasks.boxes import BoxOut, placed

Source = Literal["ocr_engine", "quote"]
Basis = Literal["logprobs", "agreement"]
_NOWHERE = Box(0, 0, 0, 0)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FAR = 1.0


@dataclass(frozen=True)
class PageReading:
    """The words that OCR read in one image that the model was shown."""

    page: int
    file: str
    number: int
    view: View | None
    words: tuple[Word, ...]
    searched: Page = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the words for searching."""
        object.__setattr__(self, "searched", Page(self.words))


class EvidenceOut(DeferredModel):
    """The evidence for one value of the result, and its place on the page."""

    page: Annotated[int | None, Field(description="As in the result; null if nothing supports.")]
    file: Annotated[str | None, Field(description="The page's file in the request: `images.0`.")]
    number: Annotated[int | None, Field(description="The page's number in its file, from 1.")]
    box: Annotated[
        BoxOut | None, Field(description="On the original; null for a quote found nowhere.")
    ]
    text: Annotated[str | None, Field(description="The text read there.")]
    match: Annotated[
        Match,
        Field(
            description="`exact`; `normalised`: the same but for case, spaces, signs or the way "
            "numbers and dates are written; `approximate`: alike, with the same digits; `none`: "
            "no reading supports the value."
        ),
    ]
    source: Annotated[
        Source | None,
        Field(
            description="`ocr_engine`: read in the same pixels without the model. `quote`: the "
            "model's own quotation, which proves less."
        ),
    ]
    confidence: Annotated[
        float | None,
        Field(ge=0, le=1, description="Null if unknown. See `confidence_basis`."),
    ]
    confidence_basis: Annotated[
        Basis | None,
        Field(
            description="`logprobs`: the probability of the value's tokens. `agreement`: the share "
            "of the readings (the model, the model asked again, the OCR engine) that say the value."
        ),
    ]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for one claim."""

    claim: Claim
    sighting: Sighting | None = None
    reading: PageReading | None = None
    source: Source | None = None

    @property
    def match(self) -> Match:
        """Return how the reading matches the value."""
        return self.sighting.match if self.sighting else Match.NONE

    @property
    def independent(self) -> bool:
        """Return whether OCR, and not only the model, supports the value."""
        return self.source == "ocr_engine"


@dataclass(slots=True)
class _Search:
    """Looks up claims, preferring unused places for values of lists."""

    readings: Sequence[PageReading]
    used: set[tuple[int, Word]] = field(default_factory=set)
    anchors: dict[Path, tuple[PageReading, Box]] = field(default_factory=dict)
    """The place of each list item's first value, near which its other values are likely."""

    def evidence(self, claim: Claim) -> Evidence:
        item = _item(claim.own_path)
        places = [
            (self._rank(claim, item, reading, sighting), index, reading, sighting)
            for index, reading in enumerate(self.readings)
            if not claim.pages or reading.page in claim.pages
            for sighting in reading.searched.sightings(claim.value)
        ]
        if not places:
            return self._quoted(claim)
        _, index, reading, sighting = min(places, key=lambda place: place[0])
        if item is not None:
            self.anchors.setdefault(item, (reading, _around(reading, sighting)))
            self.used.add((index, sighting.words[0]))
        return Evidence(claim, sighting, reading, "ocr_engine")

    def _rank(
        self, claim: Claim, item: Path | None, reading: PageReading, sighting: Sighting
    ) -> tuple[float, ...]:
        kind = list(Match).index(sighting.match) if isinstance(claim.value, str) else 0
        index = self.readings.index(reading)
        used = (index, sighting.words[0]) in self.used
        if item is not None and item in self.anchors:
            anchor, box = self.anchors[item]
            apart = _apart(box, _around(reading, sighting))
            return kind, anchor is not reading, apart, used, *_distance(claim, reading, sighting)
        if claim.whole_line:
            line = reading.searched.line_of(sighting.words[0])
            return kind, used, len(line) - len(sighting.words)
        unquoted = claim.quote is not None and not _within(sighting, self._quotes(claim, reading))
        return kind, used, unquoted, *_distance(claim, reading, sighting)

    def _quotes(self, claim: Claim, reading: PageReading) -> list[Sighting]:
        return reading.searched.sightings(claim.quote) if claim.quote else []

    def _quoted(self, claim: Claim) -> Evidence:
        if not claim.quote:
            return Evidence(claim)
        words = tuple(Word(w, _NOWHERE) for w in claim.quote.split())
        sightings = Page(words).sightings(claim.value)
        if not sightings:
            return Evidence(claim)
        sighting = Sighting((), claim.quote, sightings[0].match)
        for reading in self.readings:
            for place in reading.searched.sightings(claim.quote):
                return Evidence(
                    claim, Sighting(place.words, claim.quote, sighting.match), reading, "quote"
                )
        return Evidence(claim, sighting, None, "quote")


def _item(path: Path) -> Path | None:
    """Return the path of the outermost list item that contains a value, or None."""
    places = [place for place, part in enumerate(path) if isinstance(part, int)]
    return path[: places[0] + 1] if places else None


def _within(sighting: Sighting, quotes: Sequence[Sighting]) -> bool:
    return any(set(sighting.words) <= set(quote.words) for quote in quotes)


def _distance(claim: Claim, reading: PageReading, sighting: Sighting) -> tuple[float, ...]:
    """Return a sort key for a place by its distance from the field's name.

    It compares the number of the name's words in the row, then the gap to the nearest of them on
    the left, then the gap to one above in the column, then the words of the enclosing fields.
    """
    names = [_name(part) for part in claim.own_path if isinstance(part, str)]
    own, others = (names[-1], set().union(*names[:-1])) if names else (set(), set())
    box = _around(reading, sighting)
    line = reading.searched.row_of(sighting.words[0])
    gaps, known = [_FAR], set()
    for word in line:
        parts = set(tokens(word.text))
        known |= parts
        if parts & own and word.box.right <= box.left:
            gaps.append(box.left - word.box.right)
    named = (word for name in own for word in reading.searched.named(name))
    above = (
        box.top - name.bottom
        for name in (reading.searched.level([word]) for word in named)
        if name.bottom <= box.top and name.left < box.right and box.left < name.right
    )
    return -len(own & known), min(gaps), min(above, default=_FAR), -len(others & known)


def _name(part: str) -> set[str]:
    """Return the words of a key such as ``invoiceTotal`` or ``invoice_total``."""
    return set(tokens(_HUMP.sub(" ", part).replace("_", " ")))


def _around(reading: PageReading, sighting: Sighting) -> Box:
    """Return the box around a place after its page was levelled."""
    return reading.searched.level(sighting.words)


def _apart(one: Box, other: Box) -> float:
    """Return the vertical distance of two boxes, 0 if they are on one line."""
    middles = (one.top + one.bottom) / 2, (other.top + other.bottom) / 2
    apart = abs(middles[0] - middles[1])
    return apart if 2 * apart > one.bottom - one.top else 0


def gathered(claims: Iterable[Claim], readings: Sequence[PageReading]) -> list[Evidence]:
    """Return the evidence for each claim, in the order of the claims."""
    searches: dict[Path, _Search] = defaultdict(lambda: _Search(readings))
    claims = list(claims)
    # A list item's longest text comes first, as the item's numbers are near it.
    order = sorted(
        range(len(claims)),
        key=lambda place: _order(claims[place], place),
    )
    evidence = {place: searches[claims[place].part].evidence(claims[place]) for place in order}
    return [evidence[place] for place in range(len(claims))]


def _order(claim: Claim, place: int) -> tuple[Any, ...]:
    item = _item(claim.own_path)
    if item is None:
        return 0, (), 0, place
    length = len(claim.value) if isinstance(claim.value, str) else 0
    return 1, tuple(map(str, item[:-1])), item[-1], -length, place


def rendered(evidence: Evidence, agreed: Sequence[bool]) -> EvidenceOut:
    """Return one claim's evidence for the result.

    ``agreed`` has for each reading whether it contains the value.
    """
    sighting, reading = evidence.sighting, evidence.reading
    confidence, basis = _confidence(evidence.claim, agreed)
    return EvidenceOut(
        page=reading.page if reading else None,
        file=reading.file if reading else None,
        number=reading.number if reading else None,
        box=_box(sighting, reading),
        text=sighting.text if sighting else None,
        match=evidence.match,
        source=evidence.source,
        confidence=confidence,
        confidence_basis=basis,
    )


def _confidence(claim: Claim, agreed: Sequence[bool]) -> tuple[float | None, Basis | None]:
    if claim.probability is not None:
        return round(claim.probability, 4), "logprobs"
    # A single reading has nothing to agree with.
    return (round(sum(agreed) / len(agreed), 4), "agreement") if len(agreed) > 1 else (None, None)


def _box(sighting: Sighting | None, reading: PageReading | None) -> BoxOut | None:
    if not sighting or not sighting.words or reading is None or reading.view is None:
        return None
    return placed(list(around(word.box for word in sighting.words)), reading.view)
