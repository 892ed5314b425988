"""One run: a gateway, a workload, and all that is measured of them."""

import asyncio
import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from bench import lag, process
from bench.gateways import Gateway
from bench.photos import Picture
from bench.pressing import Crowd, Tally
from bench.process import Peak, Use
from bench.report import quantile
from bench.workloads import Workload

WARM_UP = 0.5
"""Seconds before each run, on the same connections."""
IDLE_SHARE = 0.05
"""Of a core, under which a gateway counts as idle."""


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run. Times in ms, memory in MiB, of answered requests."""

    round: int
    workload: str
    gateway: str
    seconds: float
    answered: int
    failed: int
    outcomes: dict[str, int]
    per_second: float
    p50: float | None
    p90: float | None
    p99: float | None
    first_p50: float | None
    """To the first piece of the text."""
    cpu_ms: float | None
    """Of the process that serves, for each answer."""
    workers_cpu_ms: float | None
    """Of the processes that it started."""
    peak_mib: float
    workers_peak_mib: float
    lag_buckets: dict[str, int]
    """Observations of the event loop's lag by the upper bound of their bucket, seconds."""
    upstream_requests: int
    upstream_bytes: float | None
    """Of the body sent upstream, for each answer."""
    load_share: float
    """Of a core, that the caller used."""
    upstream_share: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What the upstream has counted."""

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


@dataclass(frozen=True, slots=True)
class Stand:
    """What all runs share."""

    upstream_url: str
    upstream_pid: int
    seconds: float

    def measure(
        self, gateway: Gateway, workload: Workload, picture: Picture | None, number: int
    ) -> Run:
        """Ask ``gateway`` for a while, once it is idle, and return the figures."""
        settle(gateway.pid)
        before, after, peak, tally = uvloop.run(self._asked(gateway, workload, picture))
        return _run(number, workload, gateway, tally, before, after, peak)

    async def _asked(
        self, gateway: Gateway, workload: Workload, picture: Picture | None
    ) -> tuple[Snapshot, Snapshot, Peak, Tally]:
        address = urlsplit(gateway.url)
        assert address.hostname is not None
        assert address.port is not None
        expectation = gateway.dialect.expectation(workload)
        crowd = Crowd(address.hostname, address.port, workload.in_flight, expectation)
        requests = gateway.dialect.requests(workload, picture)
        try:
            await crowd.press(requests, WARM_UP)
            process.forget_peaks(gateway.pid)
            before = await asyncio.to_thread(self._snapshot, gateway)
            tally = await crowd.press(requests, self.seconds)
            peak = process.peak(gateway.pid)
            return before, await asyncio.to_thread(self._snapshot, gateway), peak, tally
        finally:
            crowd.close()

    def _snapshot(self, gateway: Gateway) -> Snapshot:
        key = gateway.metrics_key
        return Snapshot(
            lag=lag.read(gateway.url, key) if key else Counter(),
            use=process.use(gateway.pid),
            upstream=counts(self.upstream_url),
            upstream_cpu=process.cpu_seconds(self.upstream_pid),
            load_cpu=time.process_time(),
        )


def counts(url: str) -> Counts:
    """Return what the upstream has counted so far."""
    with urllib.request.urlopen(f"{url}/bench", timeout=30) as reply:
        return Counts(**json.load(reply))


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
