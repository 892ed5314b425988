"""Medians of every figure over the rounds, beside those of the upstream alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.peers import lag
from bench.peers.run import DIRECT, Run

BUSY = 0.9
"""Share of their core above which caller and upstream may have been the limit."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One gateway on one workload. Times in ms, memory in MiB; None is not known."""

    workload: str
    gateway: str
    per_second: float
    p50: float | None
    p90: float | None
    p99: float | None
    added_p50: float | None
    """The added latency over the upstream alone, in the same round."""
    first_p50: float | None
    cpu_ms: float | None
    workers_cpu_ms: float | None
    peak_mib: float
    """The most of any round."""
    workers_peak_mib: float
    whole_peak_mib: float
    """The most of both in one round."""
    lag_p99_ms: float | None
    """A bound that 99 of 100 looks at the event loop keep, all rounds together."""
    lag_looks: int
    """The number of those looks."""
    upstream_bytes: float | None
    failed: int
    """Failed requests of all rounds."""
    limited: bool
    """Whether caller and upstream were near the limit of their own core."""
    one_core: bool
    """Whether they shared the gateway's core."""


Table = Mapping[tuple[str, str], Figures]
"""By workload and gateway, in the order in which they ran."""


def table(runs: Sequence[Run]) -> Table:
    """Return the figures of all runs."""
    direct = {(run.workload, run.round): run for run in runs if run.gateway == DIRECT}
    pairs = dict.fromkeys((run.workload, run.gateway) for run in runs)
    return {pair: _figures(list(_of(runs, pair)), direct) for pair in pairs}


def _of(runs: Sequence[Run], pair: tuple[str, str]) -> Iterator[Run]:
    return (run for run in runs if (run.workload, run.gateway) == pair)


def _figures(runs: Sequence[Run], direct: Mapping[tuple[str, int], Run]) -> Figures:
    def middle(of: Callable[[Run], float | None]) -> float | None:
        known = [value for value in map(of, runs) if value is not None]
        return round(median(known), 3) if known else None

    def added(of: Callable[[Run], float | None]) -> float | None:
        def over(run: Run) -> float | None:
            alone = direct.get((run.workload, run.round))
            ours, theirs = of(run), of(alone) if alone else None
            return None if ours is None or theirs is None else ours - theirs

        return None if runs[0].gateway == DIRECT else middle(over)

    return Figures(
        workload=runs[0].workload,
        gateway=runs[0].gateway,
        per_second=round(median(run.per_second for run in runs), 1),
        p50=middle(lambda run: run.p50),
        p90=middle(lambda run: run.p90),
        p99=middle(lambda run: run.p99),
        added_p50=added(lambda run: run.p50),
        first_p50=middle(lambda run: run.first_p50),
        cpu_ms=middle(lambda run: run.cpu_ms),
        workers_cpu_ms=middle(lambda run: run.workers_cpu_ms),
        peak_mib=max(run.peak_mib for run in runs),
        workers_peak_mib=max(run.workers_peak_mib for run in runs),
        whole_peak_mib=max(run.peak_mib + run.workers_peak_mib for run in runs),
        lag_p99_ms=lag_p99_ms(runs),
        lag_looks=sum(sum(run.lag_buckets.values()) for run in runs),
        upstream_bytes=middle(lambda run: run.upstream_bytes),
        failed=sum(run.failed for run in runs),
        limited=runs[0].gateway != DIRECT
        and median(run.load_share + run.upstream_share for run in runs) > BUSY,
        one_core=any(run.one_core for run in runs),
    )


def lag_p99_ms(runs: Sequence[Run]) -> float | None:
    """Return a bound, in ms, that 99 of 100 looks at the event loop in ``runs`` keep."""
    together: Counter[float] = Counter()
    for run in runs:
        together.update({float(bound): count for bound, count in run.lag_buckets.items()})
    bound = lag.quantile(together, 0.99)
    return None if bound is None else bound * 1000
