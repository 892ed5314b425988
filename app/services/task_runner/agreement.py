"""Compares values between the model's answers and the OCR engine's reading."""

from collections.abc import Sequence

from app.services.evidence.claim import Claim, Path
from app.services.evidence.support import Evidence
from app.services.evidence.text import Match

AGREE = (Match.EXACT, Match.NORMALISED)
"""Matches that count as the same value."""


def agrees(evidence: Evidence) -> bool:
    """Return whether the engine's reading contains the value itself."""
    return evidence.independent and evidence.match in AGREE


def supports_more(before: Sequence[Evidence], after: Sequence[Evidence]) -> bool:
    """Return whether a second answer has more supported values and keeps every agreed one."""
    kept = {_same(one.claim.value) for one in before if agrees(one)}
    values = {_same(one.claim.value) for one in after}
    gained = sum(one.independent for one in after) > sum(one.independent for one in before)
    return gained and kept <= values


def says(claims: Sequence[Claim], claim: Claim) -> bool:
    """Return whether ``claims`` contain the value of ``claim`` under the same name."""
    value, name = _same(claim.value), _name(claim)
    return any(_same(one.value) == value and _name(one) == name for one in claims)


def _name(claim: Claim) -> Path:
    """Return a value's path within its part, without list positions."""
    return tuple(part for part in claim.own_path if isinstance(part, str))


def _same(value: str | float) -> object:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value
