"""Whether two readings agree: the model's answers with the engine's, and with each other."""

from collections.abc import Sequence

from app.services.evidence.claim import Claim, Path
from app.services.evidence.support import Evidence
from app.services.evidence.text import Match

AGREE = (Match.EXACT, Match.NORMALISED)
"""What counts as the same value."""


def agrees(evidence: Evidence) -> bool:
    """Whether the engine's reading says the very value."""
    return evidence.independent and evidence.match in AGREE


def supports_more(before: Sequence[Evidence], after: Sequence[Evidence]) -> bool:
    """Whether more values of a second answer have support, and it tells all that had it."""
    kept = {_same(one.claim.value) for one in before if agrees(one)}
    told = {_same(one.claim.value) for one in after}
    gained = sum(one.independent for one in after) > sum(one.independent for one in before)
    return gained and kept <= told


def says(claims: Sequence[Claim], claim: Claim) -> bool:
    """Whether an answer with these claims says the value of ``claim`` under its name."""
    value, name = _same(claim.value), _name(claim)
    return any(_same(one.value) == value and _name(one) == name for one in claims)


def _name(claim: Claim) -> Path:
    """Return where a value is in its part, whatever its place in a list."""
    return tuple(part for part in claim.own_path if isinstance(part, str))


def _same(value: str | float) -> object:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value
