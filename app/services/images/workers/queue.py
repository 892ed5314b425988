"""The queue for decoders, which decides which work runs next."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from app.services.concurrency.background import in_background

Place = tuple[bool, str]
"""A line of the queue: whether its work is in the background, and its caller."""
Line = OrderedDict[Place, deque["asyncio.Future[None]"]]
"""The waiters of each place; the first place is served next."""


@dataclass(slots=True)
class DecoderQueue:
    """Assigns ``workers`` to callers in turn, however many requests each has queued.

    Heavy work, whose cost is unknown, leaves one worker for light work, so that no picture waits
    behind documents. A single worker alternates between the two. Within each kind, background
    work comes last.
    """

    workers: int
    _heavy_running: int = 0
    _light_running: int = 0
    _heavy_last: bool = False
    _heavy: Line = field(default_factory=OrderedDict)
    _light: Line = field(default_factory=OrderedDict)

    @property
    def waiting(self) -> int:
        """Return the number of waiting requests."""
        return sum(len(line) for lines in (self._heavy, self._light) for line in lines.values())

    async def take(self, caller: str, *, heavy: bool) -> None:
        """Wait for a worker, to be returned with `release`."""
        lines = self._heavy if heavy else self._light
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = in_background(), caller
        lines.setdefault(place, deque()).append(turn)
        self._serve()
        try:
            await turn
        except BaseException:
            self._leave(lines, place, turn, heavy=heavy)
            raise

    def release(self, *, heavy: bool) -> None:
        """Return a worker."""
        if heavy:
            self._heavy_running -= 1
        else:
            self._light_running -= 1
        self._serve()

    def _serve(self) -> None:
        while (heavy := self._next_kind()) is not None:
            turn = _pop(self._heavy if heavy else self._light)
            # A cancelled waiter leaves by itself.
            if not turn.done():
                self._grant(turn, heavy=heavy)

    def _grant(self, turn: "asyncio.Future[None]", *, heavy: bool) -> None:
        self._heavy_last = heavy
        if heavy:
            self._heavy_running += 1
        else:
            self._light_running += 1
        turn.set_result(None)

    def _next_kind(self) -> bool | None:
        """Return True if heavy work is next, False for light work, and None for neither."""
        if self._heavy_running + self._light_running >= self.workers:
            return None
        may_heavy = bool(self._heavy) and self._heavy_running < max(1, self.workers - 1)
        if may_heavy and self._light:
            return not self._heavy_last
        return may_heavy or (False if self._light else None)

    def _leave(
        self, lines: Line, place: Place, turn: "asyncio.Future[None]", *, heavy: bool
    ) -> None:
        if turn.done() and not turn.cancelled():
            # The waiter got a worker at the moment of its cancellation.
            self.release(heavy=heavy)
            return
        line = lines.get(place)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del lines[place]


def _pop(lines: Line) -> "asyncio.Future[None]":
    place = next((place for place in lines if not place[0]), next(iter(lines)))
    line = lines.pop(place)
    turn = line.popleft()
    if line:
        lines[place] = line  # behind the others
    return turn
