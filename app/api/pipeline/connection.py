"""The connection state that our server's protocol and the middleware share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.services.concurrency.budget import Reservation

CHANNEL = "channel"
"""The channel's key in a scope's ``state``."""


@dataclass(slots=True)
class RequestChannel:
    """The state of a request for which ASGI has no message; pipelined requests have one each."""

    lost: bool = False
    whole: bool = False
    """Whether the body has arrived completely."""
    spoilt: bool = False
    """Whether the body violates HTTP's framing, so that nothing more can be received."""
    held: Reservation | None = None
    """Memory reserved for the body, once the request is admitted."""
    received: int = 0
    """Bytes of the body that have arrived."""
    parts: list[bytes] = field(default_factory=list)
    """Pieces of the body that have arrived and are not read yet."""
    unread: int = 0
    """Number of bytes in ``parts``."""
    on_lost: Callable[[], None] | None = None
    """Called once when the client is gone."""
    on_refused: Callable[[], None] | None = None
    """Called when the request is refused before it reaches a route."""
    refused: bool = False

    def refuse(self) -> None:
        """Report that the request is refused; a connection may have only so many refusals."""
        self.refused = True
        if self.on_refused is not None:
            self.on_refused()

    def lose(self) -> None:
        """Report that the client is gone."""
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Call ``on_lost`` when the client is gone, at once if it already is."""
        self.on_lost = on_lost
        if self.lost:
            on_lost()

    def end(self) -> None:
        """Drop the state that is not needed once the request is answered."""
        self.on_lost = None
        self.parts.clear()

    def keep(self, part: bytes) -> None:
        """Append a piece of the body."""
        size = len(part)
        self.parts.append(part)
        self.unread += size
        self.received += size

    def covered(self) -> bool:
        """Reserve memory for the bytes that have arrived; tell whether there was enough."""
        return self.held is not None and self.held.grow_to(self.received)

    def take(self) -> bytes:
        """Return all unread bytes in one piece."""
        taken = b"".join(self.parts) if len(self.parts) > 1 else self.parts[0]
        self.parts.clear()
        self.unread = 0
        return taken
