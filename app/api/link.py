"""A client's connection, as the middleware sees it. Any server but ours has none to offer."""

from collections.abc import Callable
from dataclasses import dataclass, field

STATE = "link"
"""Where the protocol puts it in a scope's ``state``."""


@dataclass(slots=True)
class Link:
    """What ASGI has no message for."""

    lost: bool = False
    whole: bool = False
    """The running request's body has arrived: to receive it takes no time."""
    admitted: bool = False
    """There is room for the running request's whole body: it need not wait for its reader."""
    parts: list[bytes] = field(default_factory=list)
    """What has arrived of that body and was not received yet, behind what the server has."""
    on_lost: Callable[[], None] | None = None
    """Called once when the client is gone. A connection serves one request at a time."""

    def lose(self) -> None:
        """Tell that the client is gone."""
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Call ``on_lost`` when the client is gone, or now if it is."""
        self.on_lost = on_lost
        if self.lost:
            on_lost()

    def end(self) -> None:
        """Forget the request that has been answered."""
        self.on_lost, self.admitted = None, False
        self.parts.clear()

    def take(self, before: bytes) -> bytes:
        """Return ``before`` and all parts in one piece."""
        if not self.parts:
            return before
        taken = b"".join((before, *self.parts)) if before else b"".join(self.parts)
        self.parts.clear()
        return taken
