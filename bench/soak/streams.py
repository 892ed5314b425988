"""A thousand streams at once on one process: completeness, order and memory.

    python -m bench.soak.streams [--streams 1000] [--token-ms 1000]

The service runs as in `bench.peers.gateways`, in front of the emulator. All streams are opened
before the first one ends: each is one answer, a piece of text every so often, and has to carry the
whole text in order.
"""

import argparse
import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench import report
from bench.peers.recording import ANSWER
from bench.soak.load import post
from bench.soak.service import Rig, rig

PROMPT = {"prompt": "Describe the sea in two sentences.", "stream": True}


@dataclass(slots=True)
class Stream:
    """The events that one caller read."""

    status: int = 0
    events: list[tuple[str, Any]] = field(default_factory=list)
    seconds: float = 0
    first: float = 0
    """Seconds to the first event."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def complete(self) -> bool:
        """Whether every event came, in order, once."""
        deltas = self.names[1:-1]
        return (
            self.names[:1] == ["start"]
            and self.names[-1:] == ["done"]
            and set(deltas) == {"delta"}
            and self.text == ANSWER
        )

    @property
    def text(self) -> str:
        return "".join(data["text"] for name, data in self.events if name == "delta")


@dataclass(slots=True)
class Gauge:
    """The most streams open at a time, and the most memory."""

    open: int = 0
    most: int = 0
    memory: float = 0

    def opened(self) -> None:
        self.open += 1
        self.most = max(self.most, self.open)


async def read(rig: Rig, gauge: Gauge) -> Stream:
    """Open one stream and read it to its end."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    address = urlsplit(rig.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(post("/v1/generate", PROMPT, rig.key))
    stream = Stream(status=int((await reader.readuntil(b"\r\n"))[9:12]))
    await reader.readuntil(b"\r\n\r\n")
    if stream.status == 200:
        gauge.opened()
        await _events(reader, stream, began)
        gauge.open -= 1
    stream.seconds = loop.time() - began
    writer.close()
    return stream


async def _events(reader: asyncio.StreamReader, stream: Stream, began: float) -> None:
    """Read chunks of HTTP, and the events in them."""
    text = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        text += (await reader.readexactly(size + 2))[:-2]
        *whole, text = text.split(b"\n\n")
        for event in whole:
            name, _, data = event.partition(b"\n")
            if name.startswith(b"event: "):
                stream.first = stream.first or asyncio.get_running_loop().time() - began
                stream.events.append((name[7:].decode(), json.loads(data[6:])))
    assert not text, "the stream ended within an event"


async def watch(rig: Rig, gauge: Gauge) -> None:
    while True:
        gauge.memory = max(gauge.memory, rig.memory_mib())
        await asyncio.sleep(0.1)


async def measure(rig: Rig, given: argparse.Namespace) -> dict[str, Any]:
    gauge = Gauge()
    await read(rig, Gauge())  # warm up
    before = rig.memory_mib()
    watching = asyncio.create_task(watch(rig, gauge))
    cpu, began = rig.cpu_seconds(), asyncio.get_running_loop().time()
    reads = []
    for _ in range(given.streams):
        reads.append(asyncio.create_task(read(rig, gauge)))
        await asyncio.sleep(given.ramp / given.streams)
    streams = await asyncio.gather(*reads)
    elapsed = asyncio.get_running_loop().time() - began
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    answered = [stream for stream in streams if stream.status == 200]
    return {
        "service": "as in production",
        "upstream": f"the emulator, a piece of text every {given.token_ms} ms",
        "streams": len(streams),
        "open at once": gauge.most,
        "complete and in order": sum(stream.complete for stream in streams),
        "refused": len(streams) - len(answered),
        "events": sum(len(stream.events) for stream in streams),
        "to the first event ms": report.milliseconds([stream.first for stream in answered]),
        "whole stream ms": report.milliseconds([stream.seconds for stream in answered]),
        "memory MiB": {
            "before": round(before, 1),
            "most": round(gauge.memory, 1),
            "after": round(rig.memory_mib(), 1),
        },
        "service's cpu share": round((rig.cpu_seconds() - cpu) / elapsed, 2),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=1000)
    options.add_argument("--token-ms", type=int, default=1000, help="between pieces of text")
    options.add_argument("--ramp", type=float, default=8, help="seconds over which all are opened")
    given = options.parse_args()
    with rig(f"token-{given.token_ms}ms") as running:
        report.write("streams", uvloop.run(measure(running, given)))


if __name__ == "__main__":
    main()
