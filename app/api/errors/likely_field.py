"""Suggests the field that a caller may have meant by an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches

_OTHER_NAMES = {
    "images": "image img picture pictures photo photos file files image_url image_urls "
    "image_base64",
    "image": "images img picture photo file image_url image_base64",
    "max_gen_len": "max_tokens maxtokens max_completion_tokens max_output_tokens max_new_tokens "
    "max_length",
    "prompt": "text message messages input query question instruction instructions content",
    "question": "prompt text message input query",
    "stop": "stop_sequences stopsequences",
    "schema": "json_schema fields",
}
"""Names of a field in other APIs, separated by spaces, by its name here."""
_LONGEST = 40
"""Maximum characters of a name that are compared, as callers choose it."""
_ALIKE = 0.75


def likely_field(name: str, fields: Iterable[str]) -> str | None:
    """Return the one of ``fields`` that ``name`` may mean; None if none is similar."""
    known = tuple(fields)
    name = name[:_LONGEST].lower().rstrip("[]0123456789")
    called = [field for field in known if name in _OTHER_NAMES.get(field, "").split()]
    alike = get_close_matches(name, known, n=1, cutoff=_ALIKE)
    return next(iter((*alike, *called)), None)
