"""Fences a caller's text inside a prompt with tags that the text can't close."""

import re

# Whitespace and characters that Unicode renders as nothing (Default_Ignorable_Code_Point).
_UNSEEN = (
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Possessive quantifiers, so that each run is read once, however long it is.
_TAG = re.compile(rf"<(?={_UNSEEN}*+/?{_UNSEEN}*+[A-Za-z])")


def fenced(tag: str, text: str) -> str:
    """Return ``text`` between ``<tag>`` and ``</tag>``.

    A space is added after every ``<`` that could begin a tag, so that nothing in the text closes
    the fence or opens another. The rest stays unchanged.
    """
    return f"<{tag}>{_TAG.sub('< ', text.strip())}</{tag}>"
