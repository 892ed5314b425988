"""One run of a gateway on a workload, and its measurements."""

import asyncio
import json
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace

import uvloop

from bench import fetch, process
from bench.peers import lag
from bench.peers.comparison import Comparison
from bench.peers.gateways import Gateway
from bench.peers.load_generator import UNANSWERED, Crowd, Tally
from bench.peers.run import Run
from bench.peers.workloads import Workload
from bench.photos import Picture
from bench.process import Peak, Use
from bench.report import quantile

WARM_UP = 0.5
"""Seconds before each run, on the same connections."""
IDLE_SHARE = 0.05
"""Share of a core under which a gateway counts as idle."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The upstream's counts."""

    requests: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters before or after a run."""

    use: Use
    upstream: Counts
    upstream_cpu: float
    load_cpu: float
    lag: lag.Buckets


def measure(
    stand: Comparison,
    gateway: Gateway,
    workload: Workload,
    picture: Picture | None,
    *,
    number: int,
    seconds: float,
) -> Run:
    """Ask ``gateway`` for ``seconds``, once it is idle; return the figures of round ``number``.

    One that leaves requests unanswered when it is warmed up is not asked further.
    """
    settle(gateway.pid)
    before, after, peak, tally = uvloop.run(_asked(stand, gateway, workload, picture, seconds))
    run = _run(number, workload, gateway, tally, before, after, peak)
    return replace(run, one_core=stand.one_core)


async def _asked(
    stand: Comparison, gateway: Gateway, workload: Workload, picture: Picture | None, seconds: float
) -> tuple[Snapshot, Snapshot, Peak, Tally]:
    requests = gateway.dialect.requests(workload, picture)
    expectation = gateway.dialect.expectation(workload)
    with closing(Crowd(gateway.url, workload.in_flight, expectation)) as crowd:
        warm_up = await crowd.press(requests, WARM_UP)
        process.forget_peaks(gateway.pid)
        before = await asyncio.to_thread(_snapshot, stand, gateway)
        if given_up := warm_up.outcomes[UNANSWERED]:
            tally = Tally(outcomes=Counter({UNANSWERED: given_up}), elapsed=warm_up.elapsed)
        else:
            tally = await crowd.press(requests, seconds)
        peak = process.peak(gateway.pid)
        return before, await asyncio.to_thread(_snapshot, stand, gateway), peak, tally


def _snapshot(stand: Comparison, gateway: Gateway) -> Snapshot:
    key = gateway.metrics_key
    return Snapshot(
        lag=lag.read(gateway.url, key) if key else Counter(),
        use=process.use(gateway.pid),
        upstream=counts(stand.upstream_url),
        upstream_cpu=process.cpu_seconds(stand.upstream_pid),
        load_cpu=time.process_time(),
    )


def counts(url: str) -> Counts:
    """Return the upstream's counts so far."""
    return Counts(**json.loads(fetch.get(f"{url}/bench")))


def settle(pid: int) -> None:
    """Wait until a process does nothing, ten seconds at most."""
    for _ in range(50):
        before = process.cpu_seconds(pid)
        time.sleep(0.2)
        if process.cpu_seconds(pid) - before <= 0.2 * IDLE_SHARE:
            return


def _run(
    number: int,
    workload: Workload,
    gateway: Gateway,
    tally: Tally,
    before: Snapshot,
    after: Snapshot,
    peak: Peak,
) -> Run:
    answered, elapsed = tally.answered, tally.elapsed
    lags = after.lag - before.lag
    upstream_bytes = after.upstream.bytes - before.upstream.bytes
    return Run(
        round=number,
        workload=workload.name,
        gateway=gateway.name,
        seconds=round(elapsed, 3),
        answered=answered,
        failed=tally.failed,
        outcomes=dict(tally.outcomes),
        per_second=round(answered / elapsed, 1),
        p50=_milliseconds(quantile(tally.seconds, 0.5)),
        p90=_milliseconds(quantile(tally.seconds, 0.9)),
        p99=_milliseconds(quantile(tally.seconds, 0.99)),
        first_p50=_milliseconds(quantile(tally.first, 0.5)),
        cpu_ms=_each((after.use.main - before.use.main) * 1000, answered),
        workers_cpu_ms=_each((after.use.workers - before.use.workers) * 1000, answered),
        peak_mib=round(peak.main, 1),
        workers_peak_mib=round(peak.workers, 1),
        lag_buckets={f"{bound:g}": count for bound, count in sorted(lags.items())},
        upstream_requests=after.upstream.requests - before.upstream.requests,
        upstream_bytes=_each(upstream_bytes, answered),
        load_share=round((after.load_cpu - before.load_cpu) / elapsed, 2),
        upstream_share=round((after.upstream_cpu - before.upstream_cpu) / elapsed, 2),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _each(amount: float, answered: int) -> float | None:
    return round(amount / answered, 3) if answered else None
