"""Parses the header ``Prefer`` (RFC 7240): preferences, their values and parameters."""

import re
from collections.abc import Mapping

# A comma within quotes does not end a preference.
_PARTS = re.compile(r'\s*([,;])\s*|\s*([^\s,;="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?')


def parsed(header: str) -> Mapping[str, str]:
    """Return the preferences and their parameters by lower-case name, each with its value.

    A preference without a value has an empty one. If a name is repeated, the first one counts.
    Parsing ends at text that is not a preference.
    """
    preferences: dict[str, str] = {}
    at = 0
    while at < len(header) and (match := _PARTS.match(header, at)):
        at = match.end()
        if match[2]:
            value = match[3] or ""
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            preferences.setdefault(match[2].lower(), value)
    return preferences
