"""Cuts texts into words for comparison: folded, without marks, without stop words."""

import re

_TOKEN = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EMPTY = frozenset(
    _TOKEN.findall(
        "a an and any are as at be beside by can containing contains could did do does find for"
        " from give has have how i image in is it its list locate many me much object of on or out"
        " phrase photo picture please read say says see show shown shows standing stands tell text"
        " that the there this to was were what when where which who will with word words would"
        " written you answer box bounding question query value"
    )
)


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case; ``totalDue`` and ``total_due`` are two."""
    return [token.casefold() for token in _TOKEN.findall(_HUMP.sub(" ", text))]


def meaningful(text: str) -> list[str]:
    """Return a text's words without those that stand in any question."""
    return [token for token in tokens(text) if token not in _EMPTY]


def stem(token: str) -> str:
    """Return a token without an English plural's ending."""
    return token[:-1] if len(token) > 3 and token.endswith("s") and token[-2] != "s" else token
