"""Counts repeated refusals in the log instead of logging each of them."""

import asyncio
from dataclasses import dataclass, field

import structlog

from app.telemetry.record import RequestRecord, Sink

LINES = 20
"""Lines per window for each code; all further refusals share one more line."""
WINDOW = 1.0
"""Length of a window in seconds."""

log = structlog.get_logger()


@dataclass(slots=True)
class CountedRefusals:
    """A `Sink` that passes on `LINES` refusals a window, and logs how many more there were.

    A refusal is an error before any route took the request; errors of routes keep a line each.
    """

    inner: Sink
    _counts: dict[str | None, int] = field(default_factory=dict)
    """Number of refusals in the current window, by code."""

    def __call__(self, record: RequestRecord) -> None:
        """Pass ``record`` on, or count it."""
        if record.route is not None or record.status < 400:
            self.inner(record)
            return
        code = record.code
        if code not in self._counts:
            self._counts[code] = 0
            asyncio.get_running_loop().call_later(WINDOW, self._end, code)
        self._counts[code] += 1
        if self._counts[code] <= LINES:
            self.inner(record)

    def _end(self, code: str | None) -> None:
        repeats = self._counts.pop(code) - LINES
        if repeats > 0:
            log.warning("further requests refused", code=code, repeats=repeats)
