"""What arrives of a stream at once is handed on at once, and read as if it had come singly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import aioboto3
import pytest

from app.adapters.bedrock import invoke
from app.adapters.bedrock.client import Connection
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import open_runtime
from app.domain.cost import Price
from app.domain.errors import ModelThrottledError, StreamTruncatedError, UpstreamDisconnectedError
from app.domain.generation import (
    Delta,
    Finish,
    ModelRequest,
    Role,
    StreamPart,
    Target,
    Turn,
    Usage,
)
from app.domain.model import Dialect
from app.domain.ports import VisionModel
from app.emulator import eventstream
from app.emulator.errors import THROTTLING, AwsError
from app.services.wrappers.metered import MeteredVisionModel
from app.services.wrappers.stopped import StoppedModel
from tests.support.upstream import CHUNKED, LAST_CHUNK, Peer, Script, Upstream, chunk, upstream

ASKED = ModelRequest(turns=(Turn(Role.USER, "Why?"),))
WORDS = ("One", " two", " three", " four")
PRICE = Price(input=1e6, output=2e6)
TARGET = Target("us-east-1", "model", Dialect.INVOKE)


def texts(*words: str) -> bytes:
    frames = []
    for count, word in enumerate(words, 1):
        said = {"generation": word, "prompt_token_count": 5 if count == 1 else None}
        frames.append(eventstream.chunk({**said, "generation_token_count": count}))
    return b"".join(frames)


FINAL = eventstream.chunk(
    {"generation": "", "generation_token_count": len(WORDS), "stop_reason": "stop"}
)


@asynccontextmanager
async def bedrock(script: Script) -> AsyncIterator[tuple[VisionModel, Upstream]]:
    async with upstream(script) as served:
        connection = Connection("us-east-1", f"http://127.0.0.1:{served.port}")
        async with open_runtime(aioboto3.Session(), connection) as runtime:
            yield InvokeVisionModel(runtime, "us.meta.llama3-2-11b-instruct-v1:0"), served


@asynccontextmanager
async def model(*bursts: bytes) -> AsyncIterator[VisionModel]:
    """Yield a model whose stream comes in ``bursts``."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        for burst in bursts:
            await peer.say(chunk(burst))
            await asyncio.sleep(0.002)  # so that the next one comes by itself
        await peer.say(LAST_CHUNK)

    async with bedrock(script) as (asked, _):
        yield asked


async def test_a_burst_is_handed_on_whole():
    async with model(texts(*WORDS) + FINAL) as asked, asked.stream(ASKED) as parts:
        bursts = [arrived async for arrived in parts]

    (burst,) = bursts
    assert [part.text for part in burst[:-1] if isinstance(part, Delta)] == list(WORDS)
    assert isinstance(burst[-1], Finish)


async def test_wherever_a_burst_is_cut_the_parts_are_the_same():
    whole = texts(*WORDS) + FINAL
    async with model(whole) as asked, asked.stream(ASKED) as parts:
        together = [part async for arrived in parts for part in arrived]
    cuts = [0, *range(7, len(whole), 97), len(whole)]
    async with model(*(whole[a:b] for a, b in pairwise(cuts))) as asked, asked.stream(ASKED) as s:
        singly = [part async for arrived in s for part in arrived]

    assert singly == together


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (eventstream.exception(AwsError(THROTTLING)), ModelThrottledError),
        (eventstream.with_wrong_checksum(FINAL), UpstreamDisconnectedError),
        (b"", StreamTruncatedError),
    ],
)
async def test_what_came_in_one_burst_with_a_failure_is_told_before_it(last, error):
    told: list[StreamPart] = []
    async with model(texts(*WORDS) + last) as asked, asked.stream(ASKED) as parts:
        told += await anext(parts)
        with pytest.raises(error):
            await anext(parts)

    assert [part.text for part in told if isinstance(part, Delta)] == list(WORDS)


async def test_a_stop_text_within_a_burst_ends_it_there_at_the_cost_until_there():
    request = ModelRequest(turns=ASKED.turns, stop=(" three",))
    async with model(texts(*WORDS) + FINAL) as inner:
        asked = StoppedModel(MeteredVisionModel(inner, TARGET, PRICE))
        async with asked.stream(request) as parts:
            (burst,) = [arrived async for arrived in parts]

    *deltas, finish = burst
    assert "".join(part.text for part in deltas if isinstance(part, Delta)) == "One two"
    assert isinstance(finish, Finish)
    assert finish.stop_sequence == " three"
    assert finish.usage == Usage(5, 3, PRICE.of(5, 3))


@pytest.mark.parametrize("late", [0.0, 0.05])
async def test_a_stream_that_was_read_to_its_last_chunk_leaves_its_connection_to_the_next(late):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(CHUNKED + chunk(texts(*WORDS) + FINAL))
            await asyncio.sleep(late)
            await peer.say(LAST_CHUNK)

    async with bedrock(script) as (asked, served):
        for _ in range(3):
            async with asked.stream(ASKED) as parts:
                while not isinstance((await anext(parts))[-1], Finish):
                    pass

    assert len(served.peers) == 1


async def test_a_stream_that_does_not_end_is_left_all_the_same(monkeypatch):
    monkeypatch.setattr(invoke, "END", 0.05)
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(texts(*WORDS) + FINAL))
        await peer.left()
        over.set()

    async with bedrock(script) as (asked, _), asyncio.timeout(30):
        async with asked.stream(ASKED) as parts:
            assert isinstance((await anext(parts))[-1], Finish)
        await over.wait()


async def test_the_cost_so_far_is_told_with_the_last_of_a_burst():
    async with model(texts(*WORDS)) as inner:
        asked = MeteredVisionModel(inner, TARGET, PRICE)
        async with asked.stream(ASKED) as parts:
            burst = await anext(parts)

    assert burst[-1].usage == Usage(5, len(WORDS), PRICE.of(5, len(WORDS)))
