"""The effect of hostile callers on a polite one.

    python -m bench.hostile [--seconds 6] [--only refused]

Each of `bench.soak.attacks` runs in a process of its own, with a key of its own, while a polite
caller asks twenty times a second. Its 99th percentile is to stay under twice the calm value, and
the memory of the process that serves within 150 MiB of its calm value.
"""

import argparse
import asyncio
import base64
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from app.adapters.access import key_file
from app.domain import key
from app.domain.access import Scope
from bench import process, report
from bench.peers.recording import ANSWER
from bench.soak.attacks import ATTACKS, Attack
from bench.soak.load import Caller, Reply, post
from bench.soak.service import Rig, rig
from fixtures.process import ROOT

RATE = 20
MOST_TIMES = 2.0
"""Times the calm p99."""
MOST_MIB = 150
PICTURE = ROOT / "tests" / "data" / "coffee.png"


def polite_request(attack: Attack, polite: str) -> bytes:
    body: dict[str, Any] = {"prompt": "Describe the sea in two sentences.", "max_gen_len": 64}
    if attack.pictures:
        body["images"] = [base64.b64encode(PICTURE.read_bytes()).decode()]
    return post("/v1/generate", body, polite)


async def watched(running: Rig, memory: list[float]) -> None:
    while True:
        memory.append(running.memory_mib())
        await asyncio.sleep(0.1)


async def measure(running: Rig, name: str, keys: tuple[str, str], seconds: float) -> dict[str, Any]:
    polite, hostile = keys
    request = polite_request(ATTACKS[name], polite)
    memory: list[float] = []
    with closing(Caller(running.url)) as caller:
        await caller.offer(request, RATE, 2)  # warm up
        calm = await caller.offer(request, RATE, seconds)
        before = running.memory_mib()
        watching = asyncio.create_task(watched(running, memory))
        attacker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.soak.attacks", name, stdin=subprocess.PIPE, cwd=ROOT
        )
        try:
            assert attacker.stdin is not None
            attacker.stdin.write(json.dumps([running.url, hostile]).encode() + b"\n")
            await asyncio.sleep(1)
            attacked = await caller.offer(request, RATE, seconds)
        finally:
            attacker.kill()
            await attacker.wait()
            watching.cancel()
    return row(ATTACKS[name], calm, attacked, max(memory) - before)


def row(attack: Attack, calm: list[Reply], attacked: list[Reply], mib: float) -> dict[str, Any]:
    before = report.quantile([reply.seconds for reply in calm], 0.99) or 0
    under = report.quantile([reply.seconds for reply in attacked], 0.99) or 0
    answered = sum(reply.status == 200 for reply in attacked)
    return {
        "attack": attack.title,
        "calm p99 ms": round(before * 1000, 1),
        "p99 ms": round(under * 1000, 1),
        "times": round(under / before, 2),
        "answered": f"{answered} of {len(attacked)}",
        "memory MiB": f"{mib:+.0f}",
        "held": answered == len(attacked) and under < MOST_TIMES * before and mib < MOST_MIB,
    }


def run(name: str, seconds: float) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "keys.json")
        issued = [key.issue(who, tuple(Scope)) for who in ("polite", "hostile")]
        key_file.write(path, tuple(record for _, record in issued))
        answer = ATTACKS[name].answer or ANSWER
        with rig("first-token-100ms", answer, keys_file=str(path)) as running:
            keys = issued[0][0], issued[1][0]
            return uvloop.run(measure(running, name, keys, seconds))


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of ``rows``."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names)]
    lines += [[_shown(each[name]) for name in names] for each in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    return {True: "yes", False: "**no**"}[value] if isinstance(value, bool) else str(value)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=6)
    options.add_argument("--only", default="", help="a part of an attack's name")
    given = options.parse_args()
    rows = [run(name, given.seconds) for name in ATTACKS if given.only in name]
    report.write("hostile", {each["attack"]: each for each in rows})
    print(f"\n{len(process.cores())} cores\n\n{table(rows)}")


if __name__ == "__main__":
    main()
