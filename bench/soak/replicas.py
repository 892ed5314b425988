"""Several replicas on one Redis and one PostgreSQL: limits to the request, each as fast as alone.

    python -m bench.soak.replicas --redis-url redis://… --postgres-url postgresql://…

Each replica is a process of its own; limits, idempotency and usage are in the two servers. First
a caller with a limit asks all of them at once, more often than it may. Then requests come at one
rate, in turns to one replica alone and to each of them: what a request costs a replica in CPU, and
how long it takes, are compared. On few cores the rate has to stay under what they have together:
what is shown is that the shared stores cost a replica nothing more when others use them too, not
how many replicas a machine carries.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from app.settings import PREFIX
from bench import report
from bench.peers.gateways import CREDENTIALS, LIMITS, new_key
from bench.peers.recording import ANSWER
from bench.peers.workloads import Identity
from bench.process import cpu_seconds
from bench.soak.load import Caller, Reply, post, statuses
from fixtures.process import Running, running

PATH = "/v1/generate"
BODY = {"prompt": "Describe the sea in two sentences.", "max_gen_len": 64}
ALLOWED = 600
"""Requests that the limited caller may make."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process, and a caller of it."""

    pid: int
    caller: Caller

    async def cost(self, request: bytes, rate: float, seconds: float) -> tuple[float, list[Reply]]:
        """Return the CPU seconds of a request at ``rate`` a second, and the replies."""
        before = cpu_seconds(self.pid)
        replies = await self.caller.offer(request, rate, seconds)
        return (cpu_seconds(self.pid) - before) / len(replies), replies


@dataclass(frozen=True, slots=True)
class Keys:
    """A file of two keys: one with no limit that is ever reached, one with `ALLOWED` requests."""

    file: Path
    free: str
    limited: str

    @classmethod
    def write(cls, file: Path) -> "Keys":
        keys = cls(file, new_key(file), new_key(file, "limited"))
        entries = json.loads(file.read_text())
        entries[-1]["limits"] = {"requests": f"{ALLOWED}/hour"}
        file.write_text(json.dumps(entries))
        return keys


@contextmanager
def replicas(count: int, settings: dict[str, str]) -> Iterator[list[Running]]:
    """Run ``count`` processes in front of one emulator until the block is left."""
    answers = ("--port", "0", "--fixed-answer", ANSWER, "--recorded-requests", "1")
    with running("app.emulator", *answers) as emulator, ExitStack() as stack:
        named = {**settings, "port": "0", "endpoint_url": emulator.url}
        environment = {f"{PREFIX}{name.upper()}": value for name, value in named.items()}
        environment |= CREDENTIALS[Identity.SIGNED]
        yield [
            stack.enter_context(running("app", "serve", environment=environment))
            for _ in range(count)
        ]


async def limited(several: Sequence[Replica], key: str) -> dict[str, int]:
    """Ask all replicas at once, twice as often as the caller may; return the outcomes."""
    request = post(PATH, BODY, key)
    times = 2 * ALLOWED // len(several)
    asked = [replica.caller.offer(request, times / 10, 10) for replica in several]
    return statuses([reply for replies in await asyncio.gather(*asked) for reply in replies])


async def compared(
    several: Sequence[Replica], key: str, rate: float, seconds: float, rounds: int
) -> dict[str, Any]:
    """Ask one replica alone and all of them, in turns."""
    request = post(PATH, BODY, key)
    for replica in several:
        await replica.caller.offer(request, rate, 2)  # warm up
    alone: list[tuple[float, list[Reply]]] = []
    together: list[tuple[float, list[Reply]]] = []
    for number in range(rounds):
        alone.append(await several[number % len(several)].cost(request, rate, seconds))
        together += await asyncio.gather(
            *(replica.cost(request, rate, seconds) for replica in several)
        )
    costs = [median(cost for cost, _ in side) for side in (alone, together)]
    times = [
        median(reply.seconds for _, replies in side for reply in replies)
        for side in (alone, together)
    ]
    failed = [reply for _, replies in alone + together for reply in replies if reply.status != 200]
    return {
        "requests a second and replica": rate,
        "CPU ms a request, alone": round(1000 * costs[0], 3),
        "CPU ms a request, together": round(1000 * costs[1], 3),
        "requests a CPU second, together / alone": round(costs[0] / costs[1], 3),
        "p50 ms, alone": round(1000 * times[0], 2),
        "p50 ms, together": round(1000 * times[1], 2),
        "not answered": len(failed),
    }


async def measure(processes: Sequence[Running], keys: Keys, given: Any) -> dict[str, Any]:
    several = [Replica(each.process.pid, Caller(each.url)) for each in processes]
    outcome = await limited(several, keys.limited)
    results = {
        "replicas": len(several),
        "limit": ALLOWED,
        "answers under the limit": outcome,
        "exact": outcome.get("200") == ALLOWED,
        **await compared(several, keys.free, given.rate, given.seconds, given.rounds),
    }
    for replica in several:
        replica.caller.close()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--postgres-url", required=True)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100, help="requests a second and replica")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys.write(Path(folder, "keys.json"))
        settings = {
            "keys_file": str(keys.file),
            "limits": json.dumps(LIMITS),
            "limits_store": "redis",
            "limits_failure": "closed",
            "idempotency_store": "redis",
            "usage_store": "postgres",
            "redis_url": given.redis_url,
            "postgres_url": given.postgres_url,
            "data_directory": folder,
        }
        with replicas(given.replicas, settings) as processes:
            report.write("replicas", uvloop.run(measure(processes, keys, given)))


if __name__ == "__main__":
    main()
