"""The service's time by function: ``python -m bench.micro.profile text-64``.

    python -m bench.micro.profile text-64|500kb-64|stream-16|… [--seconds 5] [--top 30]

py-spy samples the process that serves while it is asked as in `bench`. Shares are of the samples
that held the interpreter's lock: hashing, and reading and writing sockets, let go of it and do
not show.
"""

import argparse
import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.__main__ import illustrated
from bench.peers.comparison import comparison
from bench.peers.gateways import Gateway
from bench.peers.load_generator import Crowd
from bench.peers.workloads import WORKLOADS, Workload
from bench.photos import Picture

RATE = 400
"""Samples a second."""
_LINE = re.compile(r":\d+\)$")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.micro.profile", description=__doc__)
    options.add_argument("workload", choices=[workload.name for workload in WORKLOADS])
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--top", type=int, default=30)
    given = options.parse_args()
    chosen = [workload for workload in WORKLOADS if workload.name == given.workload]
    with comparison(["ours"]) as stand, TemporaryDirectory() as folder:
        for workload, picture in illustrated(chosen):
            samples = Path(folder, "samples")
            record(stand.gateways[-1], workload, picture, samples, given.seconds)
            for line in table(samples.read_text(), given.top):
                print(line)


def record(
    gateway: Gateway, workload: Workload, picture: Picture | None, to: Path, seconds: int
) -> None:
    """Sample ``gateway`` while it is asked."""

    async def pressed() -> None:
        requests = gateway.dialect.requests(workload, picture)
        expectation = gateway.dialect.expectation(workload)
        with closing(Crowd(gateway.url, workload.in_flight, expectation)) as crowd:
            await crowd.press(requests, 1)
            command = [str(Path(sys.executable).with_name("py-spy")), "record", "--gil"]
            timing = ["--duration", str(seconds), "--rate", str(RATE)]
            form = ["--format", "raw", "--output", str(to), "--pid", str(gateway.pid)]
            sampling = await asyncio.create_subprocess_exec(
                *command, *timing, *form, stderr=subprocess.DEVNULL
            )
            await crowd.press(requests, seconds + 1)
            await sampling.wait()

    uvloop.run(pressed())


def table(samples: str, top: int) -> Iterator[str]:
    """Sum the samples by function: with its callees, and alone."""
    within: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        alone[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    for title, counted in (("with what it calls", within), ("alone", alone)):
        yield f"\n{title}"
        for name, times in counted.most_common(top):
            yield f"{times / max(1, alone.total()):6.1%}  {name}"


if __name__ == "__main__":
    main()
