"""Whether the model would have taken a gateway's request.

The upstream of the benchmark looks at no body. So one request of each gateway is shown to an
emulator that decodes pictures and keeps the model's rules.
"""

import asyncio
import json
from contextlib import closing

from bench import fetch
from bench.peers import recording
from bench.peers.gateways import Gateway
from bench.peers.load_generator import Crowd
from bench.peers.workloads import Workload
from bench.photos import Picture

TAKEN = "taken"


def verdict(
    gateway: Gateway, workload: Workload, picture: Picture | None, upstream: str, emulator: str
) -> str:
    """Return `TAKEN`, or the reason why ``gateway``'s request is refused upstream."""
    fetch.get(f"{upstream}/bench/keep")
    asyncio.run(_ask_once(gateway, workload, picture))
    body = fetch.get(f"{upstream}/bench/body")
    operation = fetch.get(f"{upstream}/bench/operation").decode()
    if not body:
        return "nothing was sent"
    head, _, content = recording.ask(emulator, operation, body).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):
        return TAKEN
    return str(json.loads(content).get("message", content.decode()))


async def _ask_once(gateway: Gateway, workload: Workload, picture: Picture | None) -> None:
    expectation = gateway.dialect.expectation(workload)
    with closing(Crowd(gateway.url, 1, expectation)) as crowd:
        await crowd.press(gateway.dialect.requests(workload, picture), 0)
