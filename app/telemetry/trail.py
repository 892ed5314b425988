"""The trail of one request's calls and pictures: digests and facts, never content."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]
"""Members of a receipt: only texts, integers, lists and objects, so that the JSON is canonical."""


@dataclass(slots=True)
class Trail:
    """The calls and pictures of one request, in the order in which they ended."""

    calls: list[Facts] = field(default_factory=list)
    images: list[Facts] = field(default_factory=list)
    verdicts: list[Facts] = field(default_factory=list)
    """The verdicts of guardrails."""
    running: list[Callable[[], Facts]] = field(default_factory=list)
    """Streams that have not ended; each returns its call as it stands."""
    shared: bool = False
    """Whether the calls were made for another request with the same Idempotency-Key."""

    def end(self, stream: Callable[[], Facts]) -> None:
        """Count a running stream as it stands; do nothing if it was counted before."""
        if stream in self.running:
            self.running.remove(stream)
            self.calls.append(stream())

    def settle(self) -> None:
        """Count all running streams as they stand: a stream cut at a stop text never finishes."""
        for stream in tuple(self.running):
            self.end(stream)

    def add(self, other: "Trail", *, shared: bool) -> None:
        """Add the work of ``other``, a trail of work that was done for this request."""
        self.calls += other.calls
        self.images += other.images
        self.verdicts += other.verdicts
        self.shared = self.shared or other.shared or shared
