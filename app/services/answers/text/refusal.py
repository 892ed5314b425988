# ruff: noqa: RUF001 - reads the signs that people and models write
"""Detects refusals in the eight languages of Llama 3.2, as opposed to words of an image."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice

from app.services.answers.text.notes import Refusal

LONGEST = 600
"""Maximum characters of a refusal; a longer text says something else too."""
CLAUSES = 4
"""Maximum clauses that are examined, since excuses may precede the refusal."""


@dataclass(frozen=True, slots=True)
class Language:
    """How one language refuses; expressions without nested repetition, for one short clause."""

    excuse: re.Pattern[str]
    """Matches the beginning of an excuse before the refusal."""
    unable: re.Pattern[str]
    """Matches words that refuse if ``deed`` matches in the same clause."""
    deed: re.Pattern[str]
    unseen: re.Pattern[str]
    """Matches the statement that there is no image."""


@cache
def languages() -> tuple[Language, ...]:
    """Return the languages in ``refusals.toml``."""
    source = files(__package__).joinpath("refusals.toml").read_text(encoding="utf-8")
    return tuple(
        Language(**{name: _compiled(lines) for name, lines in language.items()})
        for language in tomllib.loads(source).values()
    )


def _compiled(lines: str) -> re.Pattern[str]:
    return re.compile("".join(line.strip() for line in lines.splitlines()), re.IGNORECASE)


_WRAPPING = re.compile(
    r"<\|[a-z_]{1,30}\|>|</?(?:answer|response|output|think|thinking)>|```\w{0,12}|\*\*|^assistant\n",
    re.IGNORECASE,
)
_HEADER = re.compile(r"<\|start_header_id\|>\w{0,20}<\|end_header_id\|>")
_BREAK = re.compile(r"(?<![,;:.!?।\n–—])[,;:.!?।\n–—]+(?=\s|$)")
_JOINING = re.compile(
    r"^(?:it (?:seems|looks|appears)(?: like| that)?|but|however|and|so|aber|jedoch|daher|mais|pero"
    r"|ma|mas|लेकिन|परंतु|कि|แต่)\s+",
    re.IGNORECASE,
)


def refusal(text: str) -> Refusal | None:
    """Return the refusal in ``text``, or None if it says something else."""
    if len(text) > LONGEST + 200:
        return None
    bare = _WRAPPING.sub(" ", _HEADER.sub(" ", text))
    words = " ".join(bare.split()).strip(" \"'“”#>-").replace("’", "'")
    if not words or len(words) > LONGEST:
        return None
    for clause in islice(_clauses(words), CLAUSES):
        if any(language.unseen.search(clause) for language in languages()):
            return Refusal(words, image_not_seen=True)
        if any(_refuses(language, clause) for language in languages()):
            return Refusal(words)
        if not any(language.excuse.match(clause) for language in languages()):
            return None
    return None


def _refuses(language: Language, clause: str) -> bool:
    return bool(language.unable.search(clause) and language.deed.search(clause))


def _clauses(words: str) -> Iterator[str]:
    for clause in _BREAK.split(words):
        stripped = clause.strip()
        while (rest := _JOINING.sub("", stripped)) != stripped:
            stripped = rest
        if stripped:
            yield stripped[:200]
