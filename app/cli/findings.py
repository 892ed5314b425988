"""Renders findings as lines for a terminal."""

from collections.abc import Iterable

from app.domain.finding import Finding, Level

MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.FAULT: "FAULT  "}


def lines(findings: Iterable[Finding]) -> str:
    """Return a line for each finding, followed by one with the remedy if there is one."""
    return "".join(map(_line, findings))


def _line(finding: Finding) -> str:
    text = f"{MARKS[finding.level]}  {finding.subject}: {finding.message}\n"
    return f"{text}         -> {finding.mend}\n" if finding.mend else text
