"""A request's connection, as the middleware sees it. Any server but ours has none to offer."""

from collections.abc import Callable
from dataclasses import dataclass, field

STATE = "link"
"""Where the protocol puts it in a scope's ``state``."""


@dataclass(slots=True)
class Link:
    """What ASGI has no message for. One for each request: a second may come down behind it."""

    lost: bool = False
    whole: bool = False
    """The body has arrived: to receive it takes no time."""
    spoilt: bool = False
    """What arrives is no body as HTTP has it; nothing more can be received."""
    admitted: bool = False
    """There is room for the whole body: it need not wait for its reader."""
    parts: list[bytes] = field(default_factory=list)
    """What has arrived of the body and was not received yet."""
    unread: int = 0
    """Bytes of ``parts``."""
    on_lost: Callable[[], None] | None = None
    """Called once when the client is gone."""

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
        """Forget the request, which has been answered."""
        self.on_lost = None
        self.parts.clear()

    def keep(self, part: bytes) -> None:
        """Keep what has arrived."""
        self.parts.append(part)
        self.unread += len(part)

    def take(self) -> bytes:
        """Return all that has arrived, in one piece."""
        taken = b"".join(self.parts) if len(self.parts) > 1 else self.parts[0]
        self.parts.clear()
        self.unread = 0
        return taken
