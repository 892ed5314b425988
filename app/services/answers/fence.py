"""A caller's text inside a prompt: between tags that it can't close."""

import re

_TAG = re.compile(r"<(?=\s*/?\s*[A-Za-z])")


def fenced(tag: str, text: str) -> str:
    """Return ``text`` between ``<tag>`` and ``</tag>``.

    Every ``<`` that could begin a tag gets a space behind it, so that nothing in the text ends
    its fence or begins another; the rest stays as it was written.
    """
    return f"<{tag}>{_TAG.sub('< ', text.strip())}</{tag}>"
