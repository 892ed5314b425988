"""Shared work whose record becomes part of one of the requests that share it."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.services.concurrency.single_flight import Flight
from app.telemetry import RequestRecord, current, recording
from app.telemetry.trail import Trail

T = TypeVar("T")


class RecordedFlight(Flight[T]):
    """A flight with a record of its own, which becomes part of one of its requests' records.

    It is not the first request's from the start, which may have left when the work ends.
    """

    __slots__ = ("_added", "record")

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        asker = current()
        trail = None if asker.trail is None else Trail()
        self.record = RequestRecord(tracer=asker.tracer, share=asker.share, trail=trail)
        self._added = False

        async def recorded() -> T:
            with recording(self.record):
                return await work()

        super().__init__(recorded())

    async def join(self) -> T:
        """Return the outcome, and add its record to that of the first request that has it."""
        try:
            return await super().join()
        finally:
            if self.over:
                self._add()

    def _add(self) -> None:
        if not self._added:
            self._added = True
            current().add(self.record)
            return
        trail, made = current().trail, self.record.trail
        if trail is not None and made is not None:
            trail.add(made, shared=True)
