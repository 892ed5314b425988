"""Four times the load that the service can serve: its answers, refusals and recovery.

    python -m bench.soak.overload [--seconds 60] [--times 4] [--upstream-ms 100] [--concurrency 64]

What bounds a service before Bedrock is how many calls it may have under way, so that is what bounds
it here: LLAMA_VISION_MAX_CONCURRENCY is ``--concurrency``. 512 of them are more than one core has
time for, and its time is what bounds it. All else is as in `bench.peers.gateways`. The service is a
process bound to one core; the emulator, with a fixed answer, and the caller share another.
"""

import argparse
import asyncio
from contextlib import closing
from typing import Any

import uvloop

from bench import report
from bench.soak.load import Caller, Reply, get, post, statuses
from bench.soak.service import Rig, rig

PROMPT = {"prompt": "Describe the sea in two sentences.", "max_gen_len": 64}
HEALTH = get("/healthz")
PROBES = 20
"""Requests a second that probe the latency."""


async def watch(rig: Rig, memory: list[float], health: list[Reply]) -> None:
    """Ask for health, and look at the memory, ten times a second."""
    with closing(Caller(rig.url)) as caller:
        while True:
            memory.append(rig.memory_mib())
            health.append(await caller.ask(HEALTH))
            await asyncio.sleep(0.1)


async def measure(rig: Rig, given: argparse.Namespace) -> dict[str, Any]:
    memory: list[float] = []
    health: list[Reply] = []
    ask = post("/v1/generate", PROMPT, rig.key)
    with closing(Caller(rig.url)) as caller:
        await caller.press(ask, given.concurrency, 2)  # warm up
        pressed = await caller.press(ask, given.concurrency, given.capacity_seconds)
        capacity = answers(pressed) / given.capacity_seconds
        calm = await caller.offer(ask, PROBES, 3)
        before = rig.memory_mib()
        watching = asyncio.create_task(watch(rig, memory, health))
        cpu = rig.cpu_seconds()
        loaded = await caller.offer(ask, given.times * capacity, given.seconds)
        cpu = rig.cpu_seconds() - cpu
        watching.cancel()
        after = await caller.offer(ask, PROBES, 6)
        normal = 1.5 * max(reply.seconds for reply in calm)
        over = max(reply.sent for reply in loaded)
        slow = [r.ended - over for r in (*loaded, *after) if r.status == 200 and r.seconds > normal]
        lasted = max(r.ended for r in loaded) - min(r.sent for r in loaded)
    ok = [reply for reply in loaded if reply.status == 200]
    refused = [reply for reply in loaded if reply.status == 503]
    third = len(memory) // 3
    return {
        "service": f"as in production; at most {given.concurrency} calls under way",
        "upstream": f"the emulator, {given.upstream_ms} ms a call, on the caller's core",
        "capacity /s": round(capacity, 1),
        "offered /s": round(given.times * capacity, 1),
        "goodput /s": round(len(ok) / lasted, 1),
        "goodput / capacity": round(len(ok) / lasted / capacity, 2),
        "statuses": statuses(loaded),
        "refusals without Retry-After": sum(not reply.retry_after for reply in refused),
        "calm ms": report.milliseconds([reply.seconds for reply in calm]),
        "answers ms": report.milliseconds([reply.seconds for reply in ok]),
        "refusals ms": report.milliseconds([reply.seconds for reply in refused]),
        "health ms": report.milliseconds([reply.seconds for reply in health]),
        "health statuses": statuses(health),
        "memory MiB": {
            "before": round(before, 1),
            "first third": round(max(memory[:third], default=0), 1),
            "last third": round(max(memory[-third:], default=0), 1),
            "after": round(rig.memory_mib(), 1),
        },
        "back to normal s": round(max(slow, default=0.0), 2),
        "after ms": report.milliseconds([reply.seconds for reply in after]),
        "service's cpu share": round(cpu / lasted, 2),
        "caller late ms": round(caller.late * 1000, 1),
    }


def answers(replies: list[Reply]) -> int:
    return sum(reply.status == 200 for reply in replies)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--times", type=float, default=4, help="of the capacity found")
    options.add_argument("--upstream-ms", type=int, default=100)
    options.add_argument("--capacity-seconds", type=float, default=5)
    options.add_argument("--concurrency", type=int, default=64, help="calls under way at a time")
    given = options.parse_args()
    allowed = str(given.concurrency)
    with rig(f"first-token-{given.upstream_ms}ms", max_concurrency=allowed) as running:
        report.write("overload", uvloop.run(measure(running, given)))


if __name__ == "__main__":
    main()
