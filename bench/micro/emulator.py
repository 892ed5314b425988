"""Measures the emulator's calls a second on one core: texts, pictures and streams.

    python -m bench.micro.emulator [--seconds 5]

The emulator runs with a fixed answer, which decodes no picture, bound to one core; this process
asks on another where there is one, `--together` on the same.
"""

import argparse
import os
from contextlib import ExitStack, closing
from dataclasses import replace

import uvloop

from bench import process
from bench.peers import dialects, recording
from bench.peers.load_generator import Crowd, Tally
from bench.peers.workloads import PICTURES, WORKLOADS, Shape, Workload
from bench.photos import Picture
from fixtures.process import running

ASKED = ("text-64", "500kb-64", "stream-16")
SIGNED = replace(dialects.direct(), headers=recording.SIGNED)


async def press(url: str, workload: Workload, picture: Picture | None, seconds: float) -> Tally:
    expectation = SIGNED.expectation(workload)
    with closing(Crowd(url, workload.in_flight, expectation)) as crowd:
        requests = SIGNED.requests(workload, picture)
        await crowd.press(requests, 0.5)
        return await crowd.press(requests, seconds)


def measure(workload: Workload, core: int, seconds: float) -> None:
    picture = PICTURES[workload.picture]() if workload.picture else None
    answer = recording.LONG_ANSWER if workload.shape is Shape.STREAM else recording.ANSWER
    with ExitStack() as stack:
        with process.on_core(core):
            command = ("app.emulator", "--port", "0", "--fixed-answer", answer)
            emulator = stack.enter_context(running(*command))
        tally = uvloop.run(press(emulator.url, workload, picture, seconds))
    if tally.failed:
        raise SystemExit(f"{workload.title}: {dict(tally.outcomes)}")
    print(
        f"{workload.title}, {workload.in_flight} in flight: {tally.answered / tally.elapsed:,.0f}/s"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--together", action="store_true", help="ask from the emulator's core")
    given = options.parse_args()
    cores = process.cores()
    os.sched_setaffinity(0, {cores[-1]})
    for workload in WORKLOADS:
        if workload.name in ASKED:
            measure(workload, cores[-1 if given.together else 0], given.seconds)


if __name__ == "__main__":
    main()
