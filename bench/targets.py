"""What the service is meant to reach, and whether it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import ge, le, lt

from bench.figures import Figures, Table, lag_p99_ms
from bench.run import CHAT, DIRECT, LITELLM, NAIVE, OURS, Run

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
    """One aim, and what was measured; None where that was not."""

    title: str
    relation: Relation
    bound: float
    measured: float | None

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        if self.measured is None:
            return None
        return bool(_HOLDS[self.relation](self.measured, self.bound))


def targets(table: Table, runs: Sequence[Run]) -> list[Target]:
    """Return all of them, as measured in ``runs`` and summed up in ``table``."""

    def of(workload: str, get: Callable[[Figures], float | None], ours: str = OURS) -> float | None:
        found = table.get((workload, ours))
        return get(found) if found else None

    def rate(workload: str, ours: str = OURS) -> float | None:
        return of(workload, lambda figures: figures.per_second, ours)

    def times(workload: str, other: str) -> float | None:
        # The same request for both.
        ours = CHAT if other == LITELLM else OURS
        return _ratio(rate(workload, ours), table.get((workload, other)), lambda f: f.per_second)

    def fewer(workload: str) -> float | None:
        alone, ours = table.get((workload, DIRECT)), table.get((workload, OURS))
        sent = alone.upstream_bytes if alone else None
        return _ratio(sent, ours, lambda f: f.upstream_bytes)

    def added(workload: str) -> float | None:
        return of(workload, lambda figures: figures.added_p50)

    memory = of("500kb-64", lambda figures: figures.whole_peak_mib)
    lag = lag_p99_ms([run for run in runs if run.gateway == OURS])
    return [
        Target("text, requests/s", AT_LEAST, 1_500, rate("text-64")),
        Target("text, times naive", AT_LEAST, 1.8, times("text-64", NAIVE)),
        Target("text, times LiteLLM", AT_LEAST, 10, times("text-64", LITELLM)),
        Target("500 KB picture, requests/s", AT_LEAST, 400, rate("500kb-64")),
        Target("500 KB picture, times naive", AT_LEAST, 2.3, times("500kb-64", NAIVE)),
        Target("500 KB picture, times LiteLLM", AT_LEAST, 6, times("500kb-64", LITELLM)),
        Target(
            "the same with an API key, times naive", AT_LEAST, 2.3, times("500kb-key-64", NAIVE)
        ),
        Target(
            *("the same with an API key, times LiteLLM", AT_LEAST, 6),
            times("500kb-key-64", LITELLM),
        ),
        Target("text, 1 in flight, added p50, ms", UNDER, 1.0, added("text-1")),
        Target("500 KB picture, 1 in flight, added p50, ms", UNDER, 5, added("500kb-1")),
        Target("streams of 100 chunks, /s", AT_LEAST, 300, rate("stream-16")),
        Target("streams, times naive", AT_LEAST, 2, times("stream-16", NAIVE)),
        Target(
            "streams, more than TensorZero's",
            AT_LEAST,
            TENSORZERO_STREAMS,
            rate("stream-16"),
        ),
        Target("12 MP photo, /s", AT_LEAST, 10, rate("photo-4")),
        Target("12 MP photo, times fewer bytes upstream", AT_LEAST, 5, fewer("photo-4")),
        Target(
            *("memory, 64 x 500 KB in flight, workers and a full cache included, MiB", UNDER, 350),
            memory,
        ),
        # A bucket's bound: what is in it is no greater.
        Target("event loop's stall, p99 of all runs, ms", AT_MOST, 10, lag),
    ]


def _ratio(
    above: float | None, below: Figures | None, get: Callable[[Figures], float | None]
) -> float | None:
    divisor = get(below) if below else None
    return above / divisor if above is not None and divisor else None
