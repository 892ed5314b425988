"""The faults in force, and their effect on one call."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from app.emulator.faults.spelling import Break, Delay, Effect, Fault, GatewayReply, parsed
from app.emulator.wire.errors import ErrorKind

_COUNTED = 10_000


@dataclass(slots=True)
class ActiveFault:
    """An active fault, with the number of its calls."""

    fault: Fault
    model_id: str | None = None
    """Only calls of this model id, taken literally; None for every model."""
    operation: str | None = None
    """Only calls of this operation; None for every one."""
    calls: int = 0
    since: float | None = None

    def concerns(self, model_id: str, operation: str) -> bool:
        """Whether the fault applies to a call."""
        return self.model_id in (None, model_id) and self.operation in (None, operation)

    def happens(self) -> bool:
        """Count one call, and return whether the fault affects it."""
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        self.calls += 1
        return self.fault.timing.due(self.calls, now - self.since, time.time())


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of one call."""

    refusal: ErrorKind | GatewayReply | None = None
    broken: Break | None = None
    delay: Delay = field(default_factory=Delay)

    @property
    def immediate(self) -> bool:
        """Whether the call is answered as fast as possible and whole."""
        return self.broken is None and self.delay == Delay()


_NOTHING = Plan()


class FaultSchedule:
    """The faults in force: those of the configuration, of the admin endpoint, of model ids."""

    def __init__(self, always: Iterable[str]) -> None:
        self._ids = count(1)
        self._named: OrderedDict[tuple[str, str], ActiveFault] = OrderedDict()
        self._always = [ActiveFault(parsed(spelled)) for spelled in always]
        self.installed: dict[int, ActiveFault] = {}
        """Faults by number, in the order in which they were installed."""

    def install(self, spelled: str, model_id: str | None, operation: str | None) -> int:
        """Activate a fault and return its number.

        Raises `ValueError` for a fault that does not exist.
        """
        number = next(self._ids)
        self.installed[number] = ActiveFault(parsed(spelled), model_id, operation)
        return number

    def remove(self, *, number: int | None = None, model_id: str | None = None) -> int:
        """Remove faults: one, those of a model id, or all. Return how many."""
        gone = [
            n
            for n, active in self.installed.items()
            if number in (None, n) and model_id in (None, active.model_id)
        ]
        for n in gone:
            del self.installed[n]
        return len(gone)

    def plan(self, model_id: str, operation: str, spelled: tuple[str, ...] = ()) -> Plan:
        """Count a call, and return its faults.

        Raises `ValueError` for a fault in the model id that does not exist.
        """
        if not (spelled or self.installed or self._always):
            return _NOTHING
        named = [self._of_name(model_id, fault) for fault in spelled]
        # Every fault counts every call, also the calls that an earlier one spoils.
        due = [w.fault.effect for w in (*named, *self._others(model_id, operation)) if w.happens()]
        return _summed(due)

    def _others(self, model_id: str, operation: str) -> Iterator[ActiveFault]:
        for active in (*self.installed.values(), *self._always):
            if active.concerns(model_id, operation):
                yield active

    def _of_name(self, model_id: str, spelled: str) -> ActiveFault:
        key = (model_id, spelled)
        if key not in self._named:
            self._named[key] = ActiveFault(parsed(spelled))
        self._named.move_to_end(key)
        if len(self._named) > _COUNTED:
            self._named.popitem(last=False)
        return self._named[key]


def _summed(effects: list[Effect]) -> Plan:
    refusals = (e for e in effects if isinstance(e, ErrorKind | GatewayReply))
    breaks = (e for e in effects if isinstance(e, Break))
    delays = [e for e in effects if isinstance(e, Delay)]
    return Plan(
        refusal=next(refusals, None),
        broken=next(breaks, None),
        delay=Delay(
            max((d.first_ms for d in delays), default=0),
            max((d.token_ms for d in delays), default=0),
            max((d.drip_ms for d in delays), default=0),
        ),
    )
