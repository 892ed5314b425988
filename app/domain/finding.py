"""The outcome of a check: one line for an operator, with the remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The severity of a finding."""

    OK = 0
    WARNING = 1
    FAULT = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    level: Level
    subject: str
    """The thing that was checked, in a word or two."""
    message: str
    mend: str = ""
    """The remedy; empty if nothing is to be done."""


def ok(subject: str, message: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(Level.OK, subject, message)


def warning(subject: str, message: str, mend: str = "") -> Finding:
    """Return a finding that an operator should know about."""
    return Finding(Level.WARNING, subject, message, mend)


def fault(subject: str, message: str, mend: str) -> Finding:
    """Return a finding that has to be fixed first."""
    return Finding(Level.FAULT, subject, message, mend)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level among ``findings``; OK if there are none."""
    return max((finding.level for finding in findings), default=Level.OK)
