"""The service beside its peers: ``python -m bench``; bench/README.md explains the results."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bench import machine, report
from bench.peers import gateways, publish
from bench.peers.cache_warm_up import fill
from bench.peers.comparison import Comparison, comparison, progress
from bench.peers.gateways import Gateway
from bench.peers.load_generator import UNANSWERED
from bench.peers.measurement import measure
from bench.peers.results import FILE, Results
from bench.peers.run import OURS, Run
from bench.peers.verdict import verdict
from bench.peers.workloads import PICTURES, WORKLOADS, Workload
from bench.photos import Picture
from fixtures.process import running

OURS_ALONE = {
    "1,000 streams at once, ours, in front of the emulator": (
        *("soak.streams", "--token-ms", "400", "--ramp", "4"),
    ),
    "Four times what ours can serve with 64 calls of 100 ms under way": (
        *("soak.overload", "--seconds", "10", "--capacity-seconds", "3"),
    ),
    "Twice what ours can serve with 512 under way, more than its core has time for": (
        # Four times as much would be too much for the caller's core.
        *("soak.overload", "--seconds", "5", "--capacity-seconds", "3"),
        *("--concurrency", "512", "--times", "2"),
    ),
}
"""Short runs of the benchmarks that have commands of their own, by title."""


def main() -> None:
    given = parsed()
    began = datetime.now(UTC)
    workloads = tuple(each for each in WORKLOADS if wanted(each, given.only))
    identities = dict.fromkeys(each.identity for each in workloads)
    with comparison(given.gateways, identities) as stand:
        verdicts = judged(stand, workloads)
        fill_caches(stand)
        runs = list(rounds(stand, workloads, given.rounds, given.seconds))
    results = Results(
        at=began.strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join(["python -m bench", *sys.argv[1:]]),
        machine={**machine.description(), "LiteLLM": gateways.litellm_version()},
        runs=runs,
        verdicts=verdicts,
        skipped=stand.skipped,
        ours_alone={} if given.only else {t: apart(*c) for t, c in OURS_ALONE.items()},
    )
    results.write()
    print(f"\n{results.markdown()}\nwritten to {FILE}")
    publish.draw(results, FILE.parent)
    if given.publish:
        publish.publish(results)


def parsed() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--seconds", type=float, default=1.5, help="of each run")
    options.add_argument(
        "--only", nargs="+", default=[], help="workloads whose names begin so: text 500kb-1 stream"
    )
    options.add_argument(
        "--gateways", nargs="*", default=list(gateways.STARTERS), choices=gateways.STARTERS
    )
    options.add_argument("--publish", action="store_true", help="write docs/benchmark.md too")
    return options.parse_args()


def wanted(workload: Workload, only: Sequence[str]) -> bool:
    return not only or workload.name.startswith(tuple(only))


def judged(stand: Comparison, workloads: Sequence[Workload]) -> dict[str, dict[str, str]]:
    """Show an emulator that looks at pictures what each gateway sends; by workload and gateway."""
    with running("app.emulator", "--port", "0", "--no-read-words") as emulator:
        return {
            workload.name: {
                peer.name: verdict(peer, workload, picture, stand.upstream_url, emulator.url)
                for peer in gateways_for(stand, workload)
            }
            for workload, picture in illustrated(workloads)
        }


def fill_caches(stand: Comparison) -> None:
    for each in stand.gateways:
        if each.name == OURS:
            progress("filling the cache of prepared pictures")
            fill(each, stand.upstream_url)


def rounds(
    stand: Comparison, workloads: Sequence[Workload], number: int, seconds: float
) -> Iterator[Run]:
    """Run every workload on every gateway in turn, and all that again.

    A gateway that hangs is not asked again with that workload: each time takes long.
    """
    hung = set()
    for each in range(1, number + 1):
        for workload, picture in illustrated(workloads):
            for peer in gateways_for(stand, workload):
                if (workload, peer.name) in hung:
                    continue
                run = measure(stand, peer, workload, picture, number=each, seconds=seconds)
                progress(f"{each}  {run.workload:14} {run.gateway:8} {run.per_second:10,.1f}/s")
                if run.outcomes.get(UNANSWERED):
                    hung.add((workload, peer.name))
                yield run


def gateways_for(stand: Comparison, workload: Workload) -> Iterator[Gateway]:
    for each in stand.gateways:
        shown = each.identity in (None, workload.identity)
        if shown and (not workload.only or each.name in workload.only):
            yield each
            if workload.chat and each.name == OURS:
                yield gateways.in_openais_dialect(each)


def illustrated(workloads: Sequence[Workload]) -> Iterator[tuple[Workload, Picture | None]]:
    return ((each, drawn(each.picture) if each.picture else None) for each in workloads)


@cache
def drawn(name: str) -> Picture:
    return PICTURES[name]()


def apart(name: str, *options: str) -> dict[str, Any]:
    """Run another benchmark of this folder, and return what it found."""
    progress(f"running bench.{name}")
    command = [sys.executable, "-m", f"bench.{name}", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((report.RESULTS / f"{name.rpartition('.')[2]}.json").read_text())
    return {key: value for key, value in found.items() if key != "at"}


if __name__ == "__main__":
    main()
