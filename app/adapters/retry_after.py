"""The header Retry-After of a server's answer. Pure."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(header: str | None) -> float | None:
    """Read a Retry-After: seconds or a date; None for anything else, or for no time to wait."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until(date: str) -> float | None:
    try:
        due = parsedate_to_datetime(date)
    except ValueError:
        return None
    # A date without a zone is in UTC, as all of HTTP's are.
    left = due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)
    return max(left.total_seconds(), 0)
