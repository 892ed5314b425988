"""Kept answers beside new ones, and the cost of an unused cache and unused guardrails.

    python -m bench.micro.cache [--seconds 1] [--rounds 5]

The service runs in this process, with all that it has in production, in front of the stand-in for
Bedrock that always gives the same answer, and is asked over ASGI, eight requests at a time. Rows
are taken in turn, and the median of the rounds is shown. `off` is the default, without either
wrapper; `unused` has both around the model, and requests that want neither. Each request of `miss`
has a prompt of its own, beside the same picture: it is looked up, asked and kept. Those of `hit`
were asked before.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from io import StringIO
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from app import telemetry
from bench import photos, process
from bench.micro import calls
from bench.micro.calls import Ask, Kind
from bench.peers import dialects, recording
from bench.peers.workloads import PROMPT
from fixtures.process import enter_clean_environment, running

TOGETHER = 8
A_ROUND = 1_000_000
"""Prompt numbers that one round may use."""
KINDS: Mapping[str, Kind] = {
    "text": Kind(dialects.ours),
    "picture of 500 KB": Kind(dialects.ours, picture=photos.fitting_500_kb),
}
UNUSED = {
    "cache": "asked",
    "guardrail_kind": "apply",
    "guardrail_id": "abc",
    "guardrail_input": "off",
    "guardrail_output": "off",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration and its requests."""

    settings: Mapping[str, object]
    header: str = ""
    repeated: bool = True
    """Whether the same few requests are sent again and again."""


ROWS: Mapping[str, Row] = {
    "off": Row({}),
    "unused": Row(UNUSED),
    "miss": Row({"cache": "on"}, "Cache-Control: max-age=600", repeated=False),
    "hit": Row({"cache": "on"}, "Cache-Control: max-age=600"),
}


async def rate(ask: Ask, requests: Iterator[bytes], seconds: float) -> float:
    """Return the answers of one second of this process's CPU."""
    for _ in range(TOGETHER):
        await ask(next(requests), 200)
    count, used, until = 0, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        # Made before: a client's work is no part of the figure.
        few = [next(requests) for _ in range(TOGETHER)]
        began = time.process_time()
        await asyncio.gather(*(ask(request, 200) for request in few))
        used += time.process_time() - began
        count += TOGETHER
    return count / used


def numbered(requests: Iterator[bytes], first: int) -> Iterator[bytes]:
    """Yield ``requests``, each with a prompt of its own that is as long as the others'."""
    for number, request in enumerate(requests, first):
        prompt = f"{number:08}{PROMPT[8:]}"
        yield request.replace(PROMPT.encode(), prompt.encode(), 1)


async def measured(upstream: str, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return answers a second by kind of request and row."""
    async with AsyncExitStack() as stack:
        opened = {}
        for name, row in ROWS.items():
            folder = Path(stack.enter_context(TemporaryDirectory()))
            opening = calls.service(upstream, folder, **row.settings)
            opened[name] = await stack.enter_async_context(opening)
        rates: dict[tuple[str, str], list[float]] = {}
        for turn in range(rounds):
            for kind_name, kind in KINDS.items():
                for name, (ask, key) in opened.items():
                    row = ROWS[name]
                    made = calls.requests(replace(kind, header=row.header), key)
                    sent: Iterator[bytes]
                    if row.repeated:
                        sent = cycle([next(made) for _ in range(TOGETHER)])
                    else:
                        sent = numbered(made, turn * A_ROUND)
                    rates.setdefault((kind_name, name), []).append(await rate(ask, sent, seconds))
    return {kind: {name: median(rates[kind, name]) for name in ROWS} for kind in KINDS}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=1, help="of each measurement")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    enter_clean_environment()
    output, sys.stdout = sys.stdout, StringIO()  # Log lines are written, and not shown.
    telemetry.configure("info")
    cores = process.cores()
    with TemporaryDirectory() as folder:
        recording.write(Path(folder))
        with process.on_core(cores[-1]):
            upstream = running("bench.peers.upstream", folder)
            served = upstream.__enter__()
        try:
            with process.on_core(cores[0]):
                found = uvloop.run(measured(served.url, given.seconds, given.rounds))
        finally:
            upstream.__exit__(None, None, None)
    sys.stdout = output
    print("| answers per second of CPU | off | unused | miss | hit | hit / miss | unused / off |")
    print("|---|---|---|---|---|---|---|")
    for kind, row in found.items():
        numbers = " | ".join(f"{row[name]:,.0f}" for name in ROWS)
        ratios = f"{row['hit'] / row['miss']:.1f} | {row['unused'] / row['off']:.3f}"
        print(f"| {kind} | {numbers} | {ratios} |")


if __name__ == "__main__":
    main()
