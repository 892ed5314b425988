"""Bodies of the control plane's requests: JSON objects with members that are known."""

from collections.abc import Collection
from typing import Any

import orjson

from app.emulator.wire.errors import invalid


def members(body: bytes, required: Collection[str], known: Collection[str]) -> dict[str, Any]:
    """Return the members of a request, or raise a 400 for a missing or unknown one."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise invalid("The request body must be a JSON object.")
    for key in required:
        if key not in fields:
            raise invalid(f"1 validation error detected: {key} is required")
    unknown = sorted(fields.keys() - set(known))
    if unknown:
        raise invalid(f"Unknown member(s) in the request: {', '.join(unknown)}")
    return fields
