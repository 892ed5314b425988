"""The service beside its peers: ``python -m bench``; bench/README.md tells how to read it."""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import dialects, gateways, process, recorded
from bench.gateways import Gateway, UnavailableError
from bench.measuring import Run, Stand
from bench.workloads import PICTURES, WORKLOADS
from tests.support.process import running


def main() -> None:
    given = parsed()
    cores = sorted(os.sched_getaffinity(0))
    with process.on_core(cores[-1]), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        recorded.write(folder)
        upstream = stack.enter_context(running("bench.upstream", str(folder)))
        stand = Stand(upstream.url, upstream.process.pid, given.seconds)
        peers = [Gateway("direct", upstream.url, dialects.direct(), upstream.process.pid)]
        for name in given.gateways:
            try:
                peers.append(stack.enter_context(gateways.started(name, upstream.url, cores[0])))
            except UnavailableError as error:
                print(name, error)
        for run in runs(given, stand, peers):
            print(run.workload, run.gateway, run.per_second, run.p50, run.p99, "first", run.first_p50, "cpu", run.cpu_ms, run.workers_cpu_ms, "mem", run.peak_mib, run.workers_peak_mib, run.upstream_bytes, "share", run.load_share, run.upstream_share, run.outcomes, {k:v for k,v in run.lag_buckets.items() if v})


def runs(given, stand, peers) -> Iterator[Run]:
    chosen = [w for w in WORKLOADS if not given.only or any(w.name.startswith(o) for o in given.only)]
    pictures = {name: make() for name, make in PICTURES.items() if any(w.picture == name for w in chosen)}
    for number in range(1, given.rounds + 1):
        for workload in chosen:
            for peer in peers:
                if workload.only and peer.name not in workload.only: continue
                picture = pictures[workload.picture] if workload.picture else None
                yield stand.measure(peer, workload, picture, number)


def parsed() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2.5)
    options.add_argument("--only", nargs="*")
    options.add_argument("--gateways", nargs="*", default=list(gateways.STARTERS))
    return options.parse_args()


if __name__ == "__main__":
    main()
