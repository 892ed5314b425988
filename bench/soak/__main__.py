"""Whether memory grows under a mixed load.

    python -m bench.soak [--minutes 10] [--publish]

Started like the service of `python -m bench`, in front of the same upstream.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Any

import uvloop

from bench import machine, process, report
from bench.peers import publish, tables
from bench.peers.comparison import comparison
from bench.peers.gateways import Gateway
from bench.peers.load_generator import Crowd, Tally
from bench.peers.workloads import PICTURES, WORKLOADS, Workload
from fixtures.process import resident_mib

CALLERS = {"text-64": 8, "500kb-64": 8, "500kb-form-64": 4, "photo-4": 2, "stream-16": 4}
"""Callers that keep asking, by workload."""


SERVICE = "the process that serves"


@dataclass(frozen=True, slots=True)
class Look:
    """Resident memory at one moment."""

    seconds: float
    """Since the start."""
    mib: Mapping[int, float]
    """Memory of the process that serves and of each that decodes pictures, by pid."""


def slope_mib_per_hour(seconds: Sequence[float], mib: Sequence[float]) -> float:
    """Return the growth of memory in the second half, when caches are full."""
    half = len(seconds) // 2
    return linear_regression(seconds[half:], mib[half:]).slope * 3600


def courses(pid: int, looks: Sequence[Look]) -> dict[str, dict[str, Any]]:
    """Return the course of the memory of ``pid`` and of each of its workers, by name."""
    others = sorted({each for look in looks for each in look.mib} - {pid})
    names = {pid: SERVICE, **{each: f"decoder {n}" for n, each in enumerate(others, 1)}}
    return {
        name: _course([(look.seconds, look.mib[each]) for look in looks if each in look.mib])
        for each, name in names.items()
    }


def _course(looks: Sequence[tuple[float, float]]) -> dict[str, Any]:
    seconds, mib = zip(*looks, strict=True)
    return {
        "first": round(mib[0], 1),
        "half-time": round(mib[len(mib) // 2], 1),
        "last": round(mib[-1], 1),
        "most": round(max(mib), 1),
        "slope MiB/hour": round(slope_mib_per_hour(seconds, mib), 2) if len(mib) > 3 else None,
        "every 10 s": [round(each, 1) for each in mib[::10]],
    }


async def watch(pid: int, looks: list[Look]) -> None:
    began = time.monotonic()
    while True:
        mib = {pid: resident_mib(pid)}
        for each in process.workers(pid):
            with suppress(OSError):  # It ended while we looked.
                if _decodes(each):
                    mib[each] = resident_mib(each)
        looks.append(Look(time.monotonic() - began, mib))
        await asyncio.sleep(1)


def _decodes(worker: int) -> bool:
    # What Python starts beside them keeps accounts of what they share, and no pictures.
    return b"resource_tracker" not in Path(f"/proc/{worker}/cmdline").read_bytes()


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
    return {
        "minutes": round(seconds / 60, 2),
        "answered": {each.name: t.answered for each, t in zip(chosen, tallies, strict=True)},
        "outcomes": dict(sum((tally.outcomes for tally in tallies), Counter[str]())),
        "memory MiB": courses(gateway.pid, looks),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Return a soak's results as a table, with its settings."""
    answered, asked = sum(found["answered"].values()), sum(found["outcomes"].values())
    columns = ("first", "half-time", "last", "most", "slope MiB/hour")
    rows = [
        [name, *(tables.number(course[each]) for each in columns)]
        for name, course in found["memory MiB"].items()
    ]
    return (
        f"{found['minutes']:g} minutes, {asked:,} requests, {answered:,} of them answered; commit "
        f"{found['machine']['commit']}. Looks every 10 s are in `soak.json`.\n\n"
        + tables.markdown(["resident, MiB", *columns], rows)
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--publish", action="store_true", help="write docs/benchmark.md too")
    given = options.parse_args()
    found = {"machine": machine.description()}
    with comparison(["ours"]) as stand:
        found |= uvloop.run(soak(stand.gateways[-1], given.minutes * 60))
    report.write("soak", found)
    if given.publish:
        (publish.DOCS / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
        page = publish.filled(publish.PAGE.read_text(), markdown(found), "soak")
        publish.PAGE.write_text(page)


if __name__ == "__main__":
    main()
