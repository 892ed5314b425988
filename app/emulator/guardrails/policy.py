"""A guardrail's policy, parsed from its rules.

A rule is a word that blocks, or one of the kinds of `KINDS` with a colon and a value:
``regex:[A-Z]{3}-\\d+``, ``mask-pii:PHONE``, ``colour:red``, ``picture-word:secret``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.emulator.guardrails.personal import PATTERNS
from app.emulator.model.sight.pixels import COLOURS

KINDS = ("regex", "mask-regex", "pii", "mask-pii", "colour", "picture-word")
MASKED_BY_DEFAULT = frozenset({"EMAIL"})


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one guardrail."""

    words: tuple[str, ...] = ()
    """Each blocks a text that holds it."""
    regexes: tuple[str, ...] = ()
    masked_regexes: tuple[str, ...] = ()
    pii: frozenset[str] = frozenset()
    masked_pii: frozenset[str] = MASKED_BY_DEFAULT
    colours: tuple[str, ...] = ()
    """Each blocks a picture in which it is the most frequent colour."""
    picture_words: tuple[str, ...] = ()
    """Each blocks a picture in which it can be read."""


def parsed(rules: Iterable[str]) -> Policy:
    """Return the policy that the rules define.

    Raises `ValueError` for an invalid rule.
    """
    values: dict[str, list[str]] = {kind: [] for kind in ("word", *KINDS)}
    for rule in rules:
        kind, separator, value = rule.partition(":")
        if separator and kind in KINDS:
            values[kind].append(_checked(kind, value))
        else:
            values["word"].append(rule)
    return Policy(
        words=tuple(values["word"]),
        regexes=tuple(values["regex"]),
        masked_regexes=tuple(values["mask-regex"]),
        pii=frozenset(values["pii"]),
        masked_pii=frozenset(values["mask-pii"]) or MASKED_BY_DEFAULT - set(values["pii"]),
        colours=tuple(values["colour"]),
        picture_words=tuple(values["picture-word"]),
    )


def _checked(kind: str, value: str) -> str:
    if kind.endswith("pii") and value not in PATTERNS:
        raise ValueError(f"{kind}:{value} is none of {', '.join(sorted(PATTERNS))}")
    if kind == "colour" and value not in COLOURS:
        raise ValueError(f"colour:{value} is none of {', '.join(COLOURS)}")
    if kind.endswith("regex"):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{kind}:{value} is not a pattern: {error}") from None
    if not value:
        raise ValueError(f"{kind}: wants a value")
    return value
