"""Today, in one place."""

from datetime import UTC, date, datetime


def today() -> date:
    """Return the day in UTC, by which AWS retires models."""
    return datetime.now(tz=UTC).date()
