"""The trail of one request's calls and pictures: digests and facts, never content."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]
"""Members of a receipt: texts, whole numbers, lists, objects, so that their JSON is canonical."""


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
    """Whether they were made for another request with the same Idempotency-Key."""

    def end(self, stream: Callable[[], Facts]) -> None:
        """Count a running stream as it stands; do nothing where that was done."""
        if stream in self.running:
            self.running.remove(stream)
            self.calls.append(stream())

    def settle(self) -> None:
        """Count all running streams as they are: one that a stop text ended never finishes."""
        for stream in tuple(self.running):
            self.end(stream)

    def add(self, other: "Trail", *, shared: bool) -> None:
        """Count what was done for this request under a trail of its own."""
        self.calls += other.calls
        self.images += other.images
        self.verdicts += other.verdicts
        self.shared = self.shared or other.shared or shared
