"""Benchmark runs for tests."""

from dataclasses import replace

from bench.peers.run import Run

_RUN = Run(
    round=1,
    workload="text-64",
    gateway="ours",
    seconds=2.0,
    answered=1000,
    failed=0,
    outcomes={"200": 1000},
    per_second=500.0,
    p50=2.0,
    p90=3.0,
    p99=4.0,
    first_p50=1.0,
    cpu_ms=1.5,
    workers_cpu_ms=0.0,
    peak_mib=100.0,
    workers_peak_mib=0.0,
    lag_buckets={},
    upstream_requests=1000,
    upstream_bytes=341.0,
    load_share=0.1,
    upstream_share=0.1,
)


def run(gateway="ours", workload="text-64", number=1, **figures):
    return replace(_RUN, gateway=gateway, workload=workload, round=number, **figures)
