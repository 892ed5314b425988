"""Parts of a stream that arrive together are passed on together, and read as if one by one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import aioboto3
import pytest

from app.adapters.bedrock.chat import ChatVisionModel
from app.adapters.bedrock.codecs import streaming
from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.domain.cost import Price
from app.domain.errors import ModelThrottledError, StreamTruncatedError, UpstreamDisconnectedError
from app.domain.generation import Delta, Finish, ModelRequest, Role, StreamPart, Target, Turn
from app.domain.model import LLAMA_3_2_11B, Dialect, capabilities
from app.domain.ports import VisionModel
from app.domain.usage import Usage
from app.emulator.wire import eventstream
from app.emulator.wire.errors import THROTTLING, AwsError
from app.services.model_stack.metering import MeteringModel
from app.services.model_stack.stop_sequences import StopSequenceModel
from tests.support.servers.scripted import (
    CHUNKED,
    LAST_CHUNK,
    Peer,
    Script,
    Upstream,
    chunk,
    upstream,
)

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


def converse_texts(*words: str) -> bytes:
    return b"".join(
        eventstream.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
        for word in words
    )


CONVERSE_STOP = eventstream.event("messageStop", {"stopReason": "end_turn"})
CONVERSE_FINAL = CONVERSE_STOP + eventstream.event(
    "metadata", {"usage": {"inputTokens": 5, "outputTokens": len(WORDS)}, "metrics": {}}
)


def chat_texts(*words: str) -> bytes:
    choices = ({"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words)
    return b"".join(eventstream.chunk({"choices": [choice]}) for choice in choices)


CHAT_FINAL = eventstream.chunk(
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
) + eventstream.chunk(
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": len(WORDS)}}
)


def chat_adapter(runtime: Runtime, model_id: str) -> VisionModel:
    return ChatVisionModel(runtime, model_id, capabilities(Dialect.CHAT, LLAMA_3_2_11B))


@dataclass(frozen=True)
class Wire:
    """How a dialect writes its stream."""

    adapter: Callable[[Runtime, str], VisionModel]
    texts: Callable[..., bytes]
    final: bytes


INVOKE = Wire(InvokeVisionModel, texts, FINAL)
CONVERSE = Wire(ConverseVisionModel, converse_texts, CONVERSE_FINAL)
CHAT = Wire(chat_adapter, chat_texts, CHAT_FINAL)


@pytest.fixture(params=[INVOKE, CONVERSE, CHAT], ids=["invoke", "converse", "chat"])
def wire(request: pytest.FixtureRequest) -> Wire:
    found: Wire = request.param
    return found


@asynccontextmanager
async def bedrock(
    script: Script, wire: Wire = INVOKE
) -> AsyncIterator[tuple[VisionModel, Upstream]]:
    async with upstream(script) as served:
        connection = Connection("us-east-1", f"http://127.0.0.1:{served.port}")
        async with open_runtime(aioboto3.Session(), connection) as runtime:
            yield wire.adapter(runtime, "us.meta.llama3-2-11b-instruct-v1:0"), served


@asynccontextmanager
async def model(*bursts: bytes, wire: Wire = INVOKE) -> AsyncIterator[VisionModel]:
    """Yield a model whose stream comes in ``bursts``."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        for burst in bursts:
            await peer.say(chunk(burst))
            await asyncio.sleep(0.002)  # so that the next one arrives separately
        await peer.say(LAST_CHUNK)

    async with bedrock(script, wire) as (asked, _):
        yield asked


async def test_a_burst_is_passed_on_as_one_batch(wire):
    async with (
        model(wire.texts(*WORDS) + wire.final, wire=wire) as asked,
        asked.stream(ASKED) as parts,
    ):
        bursts = [arrived async for arrived in parts]

    (burst,) = bursts
    assert [part.text for part in burst[:-1] if isinstance(part, Delta)] == list(WORDS)
    assert isinstance(burst[-1], Finish)


async def test_splitting_a_burst_anywhere_gives_the_same_parts(wire):
    whole = wire.texts(*WORDS) + wire.final
    async with model(whole, wire=wire) as asked, asked.stream(ASKED) as parts:
        together = [part async for arrived in parts for part in arrived]
    cuts = [0, *range(7, len(whole), 97), len(whole)]
    pieces = (whole[a:b] for a, b in pairwise(cuts))
    async with model(*pieces, wire=wire) as asked, asked.stream(ASKED) as s:
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
async def test_deltas_in_one_burst_with_a_failure_are_delivered_before_it(wire, last, error):
    told: list[StreamPart] = []
    burst = wire.texts(*WORDS) + last
    async with model(burst, wire=wire) as asked, asked.stream(ASKED) as parts:
        told += await anext(parts)
        with pytest.raises(error):
            await anext(parts)

    assert [part.text for part in told if isinstance(part, Delta)] == list(WORDS)


LATE = {
    "text": lambda wire: wire.texts(" LATE"),
    "another end": lambda wire: wire.final,
    "an exception": lambda wire: eventstream.exception(AwsError(THROTTLING)),
    "a damaged frame": lambda wire: eventstream.with_wrong_checksum(wire.final),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize("together", [True, False])
async def test_bytes_after_the_end_are_not_part_of_the_answer(wire, late, together):
    answer, behind = wire.texts(*WORDS) + wire.final, late(wire)
    bursts = (answer + behind,) if together else (answer, behind)
    async with model(*bursts, wire=wire) as asked, asked.stream(ASKED) as parts:
        *deltas, finish = [part async for arrived in parts for part in arrived]

    assert [part.text for part in deltas if isinstance(part, Delta)] == list(WORDS)
    assert isinstance(finish, Finish)


async def test_a_stop_sequence_within_a_burst_ends_it_with_the_cost_up_to_there():
    request = ModelRequest(turns=ASKED.turns, stop=(" three",))
    async with model(texts(*WORDS) + FINAL) as inner:
        asked = StopSequenceModel(MeteringModel(inner, TARGET, PRICE))
        async with asked.stream(request) as parts:
            (burst,) = [arrived async for arrived in parts]

    *deltas, finish = burst
    assert "".join(part.text for part in deltas if isinstance(part, Delta)) == "One two"
    assert isinstance(finish, Finish)
    assert finish.stop_sequence == " three"
    assert finish.usage == Usage(5, 3, PRICE.most(5, 3))


@pytest.mark.parametrize("late", [0.0, 0.05])
async def test_a_stream_read_to_its_last_chunk_frees_its_connection_for_reuse(wire, late):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(CHUNKED + chunk(wire.texts(*WORDS) + wire.final))
            await asyncio.sleep(late)
            await peer.say(LAST_CHUNK)

    async with bedrock(script, wire) as (asked, served):
        for _ in range(3):
            async with asked.stream(ASKED) as parts:
                while not isinstance((await anext(parts))[-1], Finish):
                    pass

    assert len(served.peers) == 1


async def test_a_stream_without_a_last_chunk_is_closed_after_a_timeout(wire, monkeypatch):
    monkeypatch.setattr(streaming, "END", 0.05)
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(wire.texts(*WORDS) + wire.final))
        await peer.left()
        over.set()

    async with bedrock(script, wire) as (asked, _), asyncio.timeout(30):
        async with asked.stream(ASKED) as parts:
            assert isinstance((await anext(parts))[-1], Finish)
        await over.wait()


async def test_the_last_part_of_a_burst_carries_the_cost_so_far():
    async with model(texts(*WORDS)) as inner:
        asked = MeteringModel(inner, TARGET, PRICE)
        async with asked.stream(ASKED) as parts:
            burst = await anext(parts)

    assert burst[-1].usage == Usage(5, len(WORDS), PRICE.most(5, len(WORDS)))
