"""Answers in this process's memory, bounded in bytes."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from app.domain.cache import Place

OVERHEAD = 500
"""Bytes of an entry beside its data, roughly."""


@dataclass(slots=True)
class MemoryAnswers:
    """An AnswerStore that drops the least recently used answer first."""

    most: int
    """Bytes of all entries, overhead included."""
    size: int = 0
    _kept: "OrderedDict[Place, tuple[bytes, float]]" = field(default_factory=OrderedDict)
    """Data and the time at which it expires."""

    @property
    def shared(self) -> bool:
        """Return False: no other process sees these answers."""
        return False

    async def get(self, place: Place) -> bytes | None:
        """Return the unexpired entry at a place, or None."""
        entry = self._kept.get(place)
        if entry is None:
            return None
        if entry[1] <= time.monotonic():
            self._drop(place)
            return None
        self._kept.move_to_end(place)
        return entry[0]

    async def put(self, place: Place, data: bytes, seconds: float) -> None:
        """Store ``data``, and drop other answers if there is no room."""
        if place in self._kept:
            self._drop(place)
        if len(data) + OVERHEAD > self.most:
            return
        self._kept[place] = data, time.monotonic() + seconds
        self.size += len(data) + OVERHEAD
        while self.size > self.most:
            self._drop(next(iter(self._kept)))

    async def claim(self, place: Place, holder: str, seconds: float) -> bool:
        """Return True: there is only this process."""
        del place, holder, seconds
        return True

    async def release(self, place: Place, holder: str) -> None:
        """Do nothing."""

    async def purge(self, owner: str | None, model: str | None) -> int:
        """Delete the answers of an owner, of a model, or all."""
        gone = [
            place
            for place in self._kept
            if owner in (None, place.owner) and model in (None, place.model)
        ]
        for place in gone:
            self._drop(place)
        return len(gone)

    def _drop(self, place: Place) -> None:
        data, _ = self._kept.pop(place)
        self.size -= len(data) + OVERHEAD
