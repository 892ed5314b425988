"""What the service is meant to reach, and whether it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge, lt

from bench.figures import Figures, Table, lag_p99_ms
from bench.run import DIRECT, Run

OURS, NAIVE, LITELLM = "ours", "naive", "LiteLLM"
TENSORZERO_STREAMS = 266
"""Streams of 100 chunks a second on one core, TensorZero 2026.6.0, measured elsewhere."""


@dataclass(frozen=True, slots=True)
class Target:
    """One aim, and what was measured; None where that was not."""

    title: str
    at_least: float | None
    under: float | None
    measured: float | None

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        if self.measured is None:
            return None
        least, under = self.at_least, self.under
        return (least is None or ge(self.measured, least)) and (
            under is None or lt(self.measured, under)
        )


def targets(table: Table, runs: Sequence[Run]) -> list[Target]:
    """Return all of them, as measured in ``runs`` and summed up in ``table``."""

    def of(workload: str, get: Callable[[Figures], float | None]) -> float | None:
        found = table.get((workload, OURS))
        return get(found) if found else None

    def rate(workload: str) -> float | None:
        return of(workload, lambda figures: figures.per_second)

    def times(workload: str, other: str) -> float | None:
        return _ratio(rate(workload), table.get((workload, other)), lambda f: f.per_second)

    def fewer(workload: str) -> float | None:
        alone, ours = table.get((workload, DIRECT)), table.get((workload, OURS))
        sent = alone.upstream_bytes if alone else None
        return _ratio(sent, ours, lambda f: f.upstream_bytes)

    def added(workload: str) -> float | None:
        return of(workload, lambda figures: figures.added_p50)

    memory = of("500kb-64", lambda figures: figures.whole_peak_mib)
    lag = lag_p99_ms([run for run in runs if run.gateway == OURS])
    return [
        least("text, requests/s", 1_500, rate("text-64")),
        least("text, times naive", 1.8, times("text-64", NAIVE)),
        least("text, times LiteLLM", 10, times("text-64", LITELLM)),
        least("500 KB picture, requests/s", 400, rate("500kb-64")),
        least("500 KB picture, times naive", 2.3, times("500kb-64", NAIVE)),
        least("500 KB picture, times LiteLLM", 6, times("500kb-64", LITELLM)),
        under("text, 1 in flight, added p50, ms", 1.0, added("text-1")),
        under("500 KB picture, 1 in flight, added p50, ms", 5, added("500kb-1")),
        least("streams of 100 chunks, 16 in flight, /s", 300, rate("stream-16")),
        least("streams, times naive", 2, times("stream-16", NAIVE)),
        least("streams, more than TensorZero's", TENSORZERO_STREAMS, rate("stream-16")),
        least("12-megapixel photo, /s", 10, rate("photo-4")),
        least("12-megapixel photo, times fewer bytes upstream", 5, fewer("photo-4")),
        under("memory, 64 x 500 KB in flight, workers included, MiB", 350, memory),
        under("event loop's stall, p99 of all runs, ms", 10, lag),
    ]


def least(title: str, bound: float, measured: float | None) -> Target:
    """Return an aim that is met from ``bound`` up."""
    return Target(title, bound, None, measured)


def under(title: str, bound: float, measured: float | None) -> Target:
    """Return an aim that is met below ``bound``."""
    return Target(title, None, bound, measured)


def _ratio(
    above: float | None, below: Figures | None, get: Callable[[Figures], float | None]
) -> float | None:
    divisor = get(below) if below else None
    return above / divisor if above is not None and divisor else None
