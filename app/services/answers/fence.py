"""A caller's text inside a prompt: between tags that it can't close."""

import re

# Blanks, and what Unicode has shown as nothing at all (Default_Ignorable_Code_Point).
_UNSEEN = (
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Possessive: each run is read once, however long it is.
_TAG = re.compile(rf"<(?={_UNSEEN}*+/?{_UNSEEN}*+[A-Za-z])")


def fenced(tag: str, text: str) -> str:
    """Return ``text`` between ``<tag>`` and ``</tag>``.

    Every ``<`` that could begin a tag gets a space behind it, so that nothing in the text ends
    its fence or begins another; the rest stays as it was written.
    """
    return f"<{tag}>{_TAG.sub('< ', text.strip())}</{tag}>"
