"""The aims of the service, and whether they are met."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import ge, le, lt

from bench.peers import figures
from bench.peers.figures import Figures, Table
from bench.peers.run import CHAT, DIRECT, LITELLM, NAIVE, OURS, Run

TENSORZERO_STREAMS = 266
"""Streams of 100 chunks a second on one core, TensorZero 2026.6.0, measured elsewhere."""


class Relation(Enum):
    """How a measure must stand to its bound."""

    AT_LEAST = "or more"
    UNDER = "under"
    AT_MOST = "or less"


AT_LEAST, UNDER, AT_MOST = Relation
_HOLDS = {AT_LEAST: ge, UNDER: lt, AT_MOST: le}


@dataclass(frozen=True, slots=True)
class Target:
    """One aim and its measure, None where nothing was measured."""

    title: str
    relation: Relation
    bound: float
    measured: float | None
    rounds: Sequence[float] = ()
    """The same of each round by itself."""

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        if self.measured is None:
            return None
        return bool(_HOLDS[self.relation](self.measured, self.bound))


Measure = Callable[[Table], float | None]


def targets(runs: Sequence[Run]) -> list[Target]:
    """Return all of them, as measured in ``runs``."""
    table = figures.table(runs)
    numbers = dict.fromkeys(run.round for run in runs)
    rounds = [figures.table([run for run in runs if run.round == each]) for each in numbers]
    return [
        Target(title, relation, bound, measure(table), _known(map(measure, rounds)))
        for title, relation, bound, measure in AIMS
    ]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _of(workload: str, get: Callable[[Figures], float | None], gateway: str = OURS) -> Measure:
    def measure(table: Table) -> float | None:
        found = table.get((workload, gateway))
        return get(found) if found else None

    return measure


def _ratio(above: Measure, below: Measure) -> Measure:
    def measure(table: Table) -> float | None:
        dividend, divisor = above(table), below(table)
        return dividend / divisor if dividend is not None and divisor else None

    return measure


def _rate(workload: str, gateway: str = OURS) -> Measure:
    return _of(workload, lambda figures: figures.per_second, gateway)


def _times(workload: str, other: str, ours: str = OURS) -> Measure:
    return _ratio(_rate(workload, ours), _rate(workload, other))


def _added(workload: str) -> Measure:
    return _of(workload, lambda figures: figures.added_p50)


def _sent(workload: str, gateway: str) -> Measure:
    return _of(workload, lambda figures: figures.upstream_bytes, gateway)


def _worst_lag(table: Table) -> float | None:
    rows = (each for (_, gateway), each in table.items() if gateway in (OURS, CHAT))
    return max(_known(each.lag_p99_ms for each in rows), default=None)


AIMS: tuple[tuple[str, Relation, float, Measure], ...] = (
    ("text, requests/s", AT_LEAST, 1_500, _rate("text-64")),
    ("text, times naive", AT_LEAST, 1.8, _times("text-64", NAIVE)),
    ("text, chat completions, times LiteLLM", AT_LEAST, 10, _times("text-64", LITELLM, CHAT)),
    ("text, own dialect, times LiteLLM", AT_LEAST, 10, _times("text-64", LITELLM)),
    ("500 KB picture, requests/s", AT_LEAST, 400, _rate("500kb-64")),
    ("500 KB picture, times naive", AT_LEAST, 2.3, _times("500kb-64", NAIVE)),
    (
        *("500 KB picture, chat completions, times LiteLLM", AT_LEAST, 6),
        _times("500kb-64", LITELLM, CHAT),
    ),
    ("500 KB picture, own dialect, times LiteLLM", AT_LEAST, 6, _times("500kb-64", LITELLM)),
    ("the same with an API key, times naive", AT_LEAST, 2.3, _times("500kb-key-64", NAIVE)),
    (
        *("the same with an API key, chat completions, times LiteLLM", AT_LEAST, 6),
        _times("500kb-key-64", LITELLM, CHAT),
    ),
    (
        *("the same with an API key, own dialect, times LiteLLM", AT_LEAST, 6),
        _times("500kb-key-64", LITELLM),
    ),
    ("text, 1 in flight, added p50, ms", UNDER, 1.0, _added("text-1")),
    ("500 KB picture, 1 in flight, added p50, ms", UNDER, 5, _added("500kb-1")),
    ("streams of 100 chunks, /s", AT_LEAST, 300, _rate("stream-16")),
    ("streams, times naive", AT_LEAST, 2, _times("stream-16", NAIVE)),
    (
        "streams, more than TensorZero's (measured elsewhere, not here)",
        AT_LEAST,
        TENSORZERO_STREAMS,
        _rate("stream-16"),
    ),
    ("12 MP photo, /s", AT_LEAST, 10, _rate("photo-4")),
    (
        *("12 MP photo, times fewer bytes upstream", AT_LEAST, 5),
        _ratio(_sent("photo-4", DIRECT), _sent("photo-4", OURS)),
    ),
    (
        *("memory, 64 x 500 KB in flight, workers and a full cache included, MiB", UNDER, 350),
        _of("500kb-64", lambda figures: figures.whole_peak_mib),
    ),
    # A bucket's bound: what is in it is no greater.
    ("event loop's stall, p99 of the worst row of ours, ms", AT_MOST, 10, _worst_lag),
)
"""Title, relation, bound, and how it is measured."""
