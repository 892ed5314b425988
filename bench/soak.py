"""Whether memory grows: mixed load on the service for a while.

    python -m bench.soak [--minutes 10]

Started like the service of `python -m bench`, in front of the same upstream.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import linear_regression
from typing import Any

import uvloop

from bench import process, report
from bench.gateways import Gateway
from bench.pressing import Crowd, Tally
from bench.standing import standing
from bench.workloads import PICTURES, WORKLOADS, Workload

CALLERS = {"text-64": 8, "500kb-64": 8, "500kb-form-64": 4, "photo-4": 2, "stream-16": 4}
"""How many keep asking, by workload."""


@dataclass(frozen=True, slots=True)
class Look:
    """Resident memory at one moment."""

    seconds: float
    """Since the start."""
    main_mib: float
    workers_mib: float


def slope_mib_per_hour(seconds: Sequence[float], mib: Sequence[float]) -> float:
    """Return how fast memory grew in the second half, when caches are full."""
    half = len(seconds) // 2
    return linear_regression(seconds[half:], mib[half:]).slope * 3600


async def watch(pid: int, looks: list[Look]) -> None:
    began = time.monotonic()
    while True:
        workers = sum(map(process.resident_mib, process.workers(pid)))
        looks.append(Look(time.monotonic() - began, process.resident_mib(pid), workers))
        await asyncio.sleep(1)


async def ask(gateway: Gateway, workload: Workload, callers: int, seconds: float) -> Tally:
    picture = PICTURES[workload.picture]() if workload.picture else None
    crowd = Crowd(gateway.url, callers, gateway.dialect.expectation(workload))
    with closing(crowd):
        return await crowd.press(gateway.dialect.requests(workload, picture), seconds)


async def soak(gateway: Gateway, seconds: float) -> dict[str, Any]:
    looks: list[Look] = []
    chosen = [each for each in WORKLOADS if each.name in CALLERS]
    watching = asyncio.create_task(watch(gateway.pid, looks))
    tallies = await asyncio.gather(
        *(ask(gateway, each, CALLERS[each.name], seconds) for each in chosen)
    )
    watching.cancel()
    times, mains = [look.seconds for look in looks], [look.main_mib for look in looks]
    workers = [look.workers_mib for look in looks]
    outcomes = sum((tally.outcomes for tally in tallies), Counter[str]())
    return {
        "minutes": round(seconds / 60, 2),
        "answered": {each.name: t.answered for each, t in zip(chosen, tallies, strict=True)},
        "outcomes": dict(outcomes),
        "memory MiB": _course(mains),
        "workers' memory MiB": _course(workers),
        "slope MiB/hour": round(slope_mib_per_hour(times, mains), 2),
        "workers' slope MiB/hour": round(slope_mib_per_hour(times, workers), 2),
        "every 10 s, MiB": [round(mib, 1) for mib in mains[::10]],
    }


def _course(mib: Sequence[float]) -> dict[str, float]:
    return {
        "first": round(mib[0], 1),
        "half-time": round(mib[len(mib) // 2], 1),
        "last": round(mib[-1], 1),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    given = options.parse_args()
    with standing(["ours"]) as stand:
        report.write("soak", uvloop.run(soak(stand.gateways[-1], given.minutes * 60)))


if __name__ == "__main__":
    main()
