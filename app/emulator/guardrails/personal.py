"""Kinds of personal information that the emulator finds, by their form alone."""

import re
from collections.abc import Iterator

PATTERNS = {
    "EMAIL": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "URL": r"https?://[^\s<>\"]*[^\s<>\".,;:!?)]",
    "US_SOCIAL_SECURITY_NUMBER": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
    "CREDIT_DEBIT_CARD_NUMBER": r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])",
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER": (
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
    ),
    "MAC_ADDRESS": r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b",
    "IP_ADDRESS": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)",
    "AWS_ACCESS_KEY": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "PHONE": (
        r"(?<![\w-])(?!\d{4}-\d\d-\d\d\b)(?:\+\d{1,3}[ .-]?)?"
        r"\(?\d{2,4}\)?(?:[ .-]\d{2,5}){2,4}(?![\w-])"
    ),
}
"""Kind to its form. Where two forms fit one place, the earlier of this table counts."""
_COMPILED = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


def places(text: str, kinds: frozenset[str]) -> Iterator[tuple[str, int, int]]:
    """Yield kind, begin and end of each place of these kinds, in the order of the text."""
    taken: list[tuple[int, int]] = []
    matches = []
    for kind, pattern in _COMPILED.items():
        for match in pattern.finditer(text):
            begin, end = match.span()
            if kind == "CREDIT_DEBIT_CARD_NUMBER" and not _is_card(match[0]):
                continue
            if all(end <= other or begin >= until for other, until in taken):
                taken.append((begin, end))
                matches.append((kind, begin, end))
    return iter(sorted((place for place in matches if place[0] in kinds), key=lambda p: p[1]))


def _is_card(text: str) -> bool:
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
