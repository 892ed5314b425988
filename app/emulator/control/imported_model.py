"""One imported model, and whether a copy of it is loaded.

A copy that is not called is unloaded; the next call finds the model cold, and is refused with
ModelNotReadyException until a copy is loaded again.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

WINDOW_SECONDS = 300
"""Length in seconds of the windows in which copies are billed, from the first served call on."""
# Times of loading are forgotten beyond so many: the oldest first.
_SPANS = 1_000


@dataclass(slots=True)
class Span:
    """A time in which a copy was loaded."""

    begin: float
    """Seconds since 1970, as all times here."""
    last_call: float


@dataclass(slots=True)
class ImportedModel:
    """One imported model, and its copy."""

    arn: str
    name: str
    created: float
    cold_start_seconds: float
    job_arn: str | None = None
    job_name: str | None = None
    source: str | None = None
    kms_key_arn: str | None = None
    loaded_at: float | None = None
    """The time at which the loading copy will be ready; None if none is loading."""
    cold_starts: int = 0
    spans: list[Span] = field(default_factory=list)

    def begin(self, now: float) -> None:
        """Add a copy now."""
        self.spans = [*self.spans[1 - _SPANS :], Span(now, now)]

    def copies(self, now: float, idle: float) -> int:
        """Return the number of loaded copies: one or none."""
        return int(self.serves(now, idle) or self.waits(now, idle))

    def serves(self, now: float, idle: float) -> bool:
        """Whether there is a copy that has been called."""
        return any(span.begin <= now < span.last_call + idle for span in self.spans[-1:])

    def waits(self, now: float, idle: float) -> bool:
        """Whether there is a loaded copy that has not been called yet."""
        return self.loaded_at is not None and self.loaded_at <= now < self.loaded_at + idle

    def windows(self, now: float, idle: float) -> int:
        """Return the number of windows that have begun by ``now``."""
        seconds = (min(now, span.last_call + idle) - span.begin for span in self.spans)
        return sum(max(math.ceil(length / WINDOW_SECONDS), 1) for length in seconds)


def instant(seconds: float) -> str:
    """Return a time as the control plane writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
