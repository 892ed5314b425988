"""The service beside its peers: ``python -m bench``; bench/README.md tells how to read it."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import dialects, gateways, machine, process, publish, recorded, report
from bench.figures import DIRECT
from bench.gateways import Gateway, UnavailableError
from bench.measuring import Run, Stand
from bench.photos import Picture
from bench.results import FILE, Results
from bench.verdict import verdict
from bench.workloads import PICTURES, WORKLOADS, Workload
from tests.support.process import running

OURS_ALONE = {
    "1,000 streams at once, ours": ("streams", "--token-ms", "400", "--ramp", "4"),
    "Four times the load that ours can serve": (
        *("overload", "--seconds", "10", "--capacity-seconds", "3"),
    ),
}
"""Short runs of the benchmarks that have commands of their own, by title."""


def main() -> None:
    given = parsed()
    began = datetime.now(UTC)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    workloads = tuple(each for each in WORKLOADS if wanted(each, given.only))
    with standing(given) as (stand, peers, skipped):
        verdicts = judged(stand, peers, workloads)
        runs = list(rounds(given.rounds, stand, peers, workloads))
    results = Results(
        at=began.strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        machine=machine.description(),
        runs=runs,
        verdicts=verdicts,
        skipped=skipped,
        ours_alone={} if given.only else {t: apart(*c) for t, c in OURS_ALONE.items()},
    )
    results.write()
    print(f"\n{results.markdown()}\nwritten to {FILE}")
    publish.draw(results, FILE.parent)
    if given.publish:
        publish.publish(results)


def parsed() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2.5, help="of each run")
    options.add_argument(
        "--only",
        nargs="+",
        default=[],
        help="workloads whose names begin so: text, 500kb-1, stream",
    )
    options.add_argument(
        "--gateways", nargs="*", default=list(gateways.STARTERS), choices=gateways.STARTERS
    )
    options.add_argument("--publish", action="store_true", help="write docs/benchmark.md too")
    return options.parse_args()


def wanted(workload: Workload, only: Sequence[str]) -> bool:
    return not only or workload.name.startswith(tuple(only))


@contextmanager
def standing(
    given: argparse.Namespace,
) -> Iterator[tuple[Stand, list[Gateway], dict[str, str]]]:
    """Start everything: gateways on the first core, the upstream and this process on the last."""
    cores = sorted(os.sched_getaffinity(0))
    skipped: dict[str, str] = {}
    with process.on_core(cores[-1]), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        recorded.write(folder)
        upstream = stack.enter_context(running("bench.upstream", str(folder)))
        pid = upstream.process.pid
        peers = [Gateway(DIRECT, upstream.url, dialects.direct(), pid)]
        for name in given.gateways:
            progress(f"starting {name}")
            try:
                peers.append(stack.enter_context(gateways.started(name, upstream.url, cores[0])))
            except UnavailableError as error:
                skipped[name] = str(error)
        yield Stand(upstream.url, pid, given.seconds), peers, skipped


def judged(
    stand: Stand, peers: Sequence[Gateway], workloads: Sequence[Workload]
) -> dict[str, dict[str, str]]:
    """Show an emulator that looks at pictures what each gateway sends; by workload and gateway."""
    pictures = drawn(workloads)
    with running("app.emulator", "--port", "0", "--no-read-words") as emulator:
        return {
            workload.name: {
                peer.name: verdict(
                    peer,
                    workload,
                    pictures.get(workload.picture),
                    stand.upstream_url,
                    emulator.url,
                )
                for peer in peers
                if asked(peer, workload)
            }
            for workload in workloads
        }


def rounds(
    number: int, stand: Stand, peers: Sequence[Gateway], workloads: Sequence[Workload]
) -> Iterator[Run]:
    """Run every workload on every gateway in turn, and all that again."""
    pictures = drawn(workloads)
    for each in range(1, number + 1):
        for workload in workloads:
            for peer in peers:
                if asked(peer, workload):
                    run = stand.measure(peer, workload, pictures.get(workload.picture), each)
                    progress(f"{each}  {run.workload:14} {run.gateway:8} {run.per_second:10,.1f}/s")
                    yield run


def asked(peer: Gateway, workload: Workload) -> bool:
    return not workload.only or peer.name in workload.only


@cache
def drawn(workloads: Sequence[Workload]) -> dict[str | None, Picture]:
    """Return the pictures that these workloads send."""
    used = {each.picture for each in workloads}
    return {name: make() for name, make in PICTURES.items() if name in used}


def apart(name: str, *options: str) -> dict[str, Any]:
    """Run another benchmark of this folder, and return what it found."""
    progress(f"running bench.{name}")
    command = [sys.executable, "-m", f"bench.{name}", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads((report.RESULTS / f"{name}.json").read_text())
    return found


def progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
