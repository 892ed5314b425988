"""Times of receipts and audit records: UTC, to the millisecond, in RFC 3339's form."""

from datetime import UTC, datetime
from functools import lru_cache


def instant(time: float) -> str:
    """Return ``2026-11-28T08:00:00.123Z`` for ``time``, in seconds since 1970."""
    seconds, milliseconds = divmod(int(time * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


# Under load many records are of one second, and datetime takes 2 us for each.
@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
