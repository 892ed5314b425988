"""The cost of a call of Bedrock: by the AWS SDK, and by the service.

    python -m bench.micro.wire [--seconds 2] [--rounds 5]

CPU of this process, kept on one core, on the loop that the service has; a stand-in for Bedrock
that costs next to nothing has the other. Both sign with AWS keys and read the answer to its end;
only the service's way makes a completion of it. They take turns, and the median
of the rounds is shown: the ratio is what to read. Both include the SHA-256 of the picture's body.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import aioboto3
import uvloop

from app.adapters.bedrock.codecs import invoke
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.domain.generation import ModelRequest, Role, Turn
from app.domain.image import ImageType, PreparedImage
from bench import process
from bench.peers import recording
from fixtures.process import enter_clean_environment, running

Call = Callable[[], Awaitable[object]]

TEXT = ModelRequest(turns=(Turn(Role.USER, "Describe the sea in two sentences."),))
# Never decoded: base64 makes a body of 631 KB of it.
JPEG = PreparedImage(bytes(range(256)) * 1848, ImageType.JPEG, 1120, 1120, "")
PICTURE = ModelRequest(turns=(Turn(Role.USER, "What is this?", (JPEG,)),))


class Sdk:
    """aioboto3's client, with bodies made as the service makes them."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def whole(self, request: ModelRequest) -> object:
        body = b"".join(invoke.to_invoke(request))
        reply = await self.client.invoke_model(modelId=recording.MODEL, body=body)
        return await reply["body"].read()

    async def pieces(self, request: ModelRequest) -> object:
        reply = await self.client.invoke_model_with_response_stream(
            modelId=recording.MODEL, body=b"".join(invoke.to_invoke(request))
        )
        count = 0
        async for event in reply["body"]:
            count += bool(event["chunk"]["bytes"])
        assert count == recording.CHUNKS
        return count


class Ours:
    """The adapter that the service asks with."""

    def __init__(self, runtime: Runtime) -> None:
        self.model = InvokeVisionModel(runtime, recording.MODEL)

    async def whole(self, request: ModelRequest) -> object:
        return await self.model.generate(request)

    async def pieces(self, request: ModelRequest) -> object:
        async with self.model.stream(request) as parts:
            count = sum([len(arrived) async for arrived in parts])
        assert count >= recording.CHUNKS
        return count


async def cost(call: Call, seconds: float) -> float:
    """Return the milliseconds of CPU that one call takes."""
    await call()
    calls, began, until = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        await asyncio.gather(*(call() for _ in range(8)))
        calls += 8
    return (time.process_time() - began) / calls * 1000


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Any, Runtime]]:
    session = aioboto3.Session("AKIDEXAMPLE", "secret")
    async with (
        session.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url) as client,
        open_runtime(session, Connection("us-east-1", url)) as runtime,
    ):
        yield client, runtime


async def measure(url: str, given: argparse.Namespace) -> None:
    async with opened(url) as (client, runtime):
        sdk, ours = Sdk(client), Ours(runtime)
        calls: dict[str, tuple[Call, Call]] = {
            "text": (lambda: sdk.whole(TEXT), lambda: ours.whole(TEXT)),
            "picture, body of 631 KB": (lambda: sdk.whole(PICTURE), lambda: ours.whole(PICTURE)),
            "stream of 100 chunks": (lambda: sdk.pieces(TEXT), lambda: ours.pieces(TEXT)),
        }
        print("| CPU ms per call | aioboto3 | the service | ratio |\n|---|---|---|---|")
        for name, pair in calls.items():
            rounds = [
                [await cost(call, given.seconds) for call in pair] for _ in range(given.rounds)
            ]
            theirs, own = (median(column) for column in zip(*rounds, strict=True))
            print(f"| {name} | {theirs:.3f} | {own:.3f} | {theirs / own:.1f} |", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2, help="of each measurement")
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    enter_clean_environment()
    cores = process.cores()
    with TemporaryDirectory() as folder:
        recording.write(Path(folder))
        with process.on_core(cores[-1]):
            upstream = running("bench.peers.upstream", folder)
            served = upstream.__enter__()
        try:
            with process.on_core(cores[0]):
                uvloop.run(measure(served.url, given))
        finally:
            upstream.__exit__(None, None, None)


if __name__ == "__main__":
    main()
