# ruff: noqa: RUF001 - reads the signs that people and models write
"""Words that people and models write for yes, no and nothing."""

import re

_YES = {
    "true",
    "yes",
    "y",
    "ja",
    "oui",
    "sí",
    "si",
    "sì",
    "sim",
    "हाँ",
    "हां",
    "जी",
    "ใช่",
    "checked",
    "✓",
    "✔",
    "☑",
    "☒",
    "x",
    "on",
    "1",
}
_NO = {
    "false",
    "no",
    "n",
    "nein",
    "non",
    "não",
    "nao",
    "नहीं",
    "ไม่",
    "ไม่ใช่",
    "unchecked",
    "☐",
    "off",
    "0",
}


def boolean(text: str) -> bool | None:
    """Return True or False for the usual words for yes and no, and None for others."""
    word = text.strip().strip(".!\"'").casefold()
    return True if word in _YES else False if word in _NO else None


def judges(text: str) -> bool:
    """Return whether ``text`` is a yes or a no, which is a judgement rather than text of a page."""
    return boolean(text) is not None and len(text.strip(" .!\"'")) > 1


NOTHING = frozenset(
    {"", "null", "none", "n/a", "na", "nan", "nil", "undefined", "-", "–", "—", "--"}
)
"""Words for no value. ``unknown`` counts only where a number is expected."""
NO_NUMBER = NOTHING | {
    "unknown",
    "?",
    "unreadable",
    "illegible",
    "missing",
    "blank",
    "n.a.",
    "k.a.",
}
_NOT_THERE = re.compile(
    r"(?:(?:it |this |the [\w ]{1,40})?(?:is |was |are |could |can )?not (?:be )?"
    r"(?:found|visible|available|specified|provided|given|stated|mentioned|shown|present|listed"
    r"|indicated|applicable|legible|readable|clear|known|determined|seen|read)"
    r"|nicht (?:sichtbar|vorhanden|angegeben|lesbar|gefunden|erkennbar|bekannt)|keine angaben?"
    r"|unbekannt|non (?:visible|disponible|précisé|indiqué|spécifié)|inconnu|desconocido"
    r"|no (?:visible|disponible|especificado|indicado)|non (?:visibile|disponibile|indicato)"
    r"|não (?:visível|disponível|informado|especificado))"
)
_IN_THE_PICTURE = re.compile(
    r"\s(?:in|on|from|im|auf dem|auf der|dans|sur|en|na|no|nell)[ ']?(?:the |this |l'|la |il )?"
    r"(?:provided |given )?(?:image|picture|photo|document|page|receipt|invoice|form|bild|foto"
    r"|dokument|seite|imagen|immagine|imagem)"
)


def nothing(text: str, words: frozenset[str] = NOTHING) -> bool:
    """Return whether ``text`` is a word for no value; `NO_NUMBER` includes phrases as well."""
    phrase = text.strip().rstrip(".!").casefold() if len(text) <= 120 else text
    return text.strip().casefold() in words or (
        words is NO_NUMBER and (phrase in words or not_there(phrase, anywhere=True))
    )


def not_there(text: str, *, anywhere: bool = False) -> bool:
    """Return whether ``text`` says that a value is not in the image, as no page says of itself.

    ``anywhere`` also accepts a bare ``not specified``, which a page may contain.
    """
    if len(text) > 120:
        return False
    phrase = text.strip().strip("()[]").rstrip(".!").casefold()
    where = _IN_THE_PICTURE.search(phrase)
    if where is not None and len(phrase) - where.end() <= 12:
        return _NOT_THERE.fullmatch(phrase[: where.start()]) is not None
    return anywhere and _NOT_THERE.fullmatch(phrase) is not None
