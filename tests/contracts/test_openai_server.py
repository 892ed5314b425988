"""An OpenAI-compatible server that follows a test's script."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.http1.sender import Limits
from app.domain.errors import (
    ModelFailedError,
    ModelThrottledError,
    OutputFormRefusedError,
    StreamTruncatedError,
    UpstreamAnswerError,
    UpstreamDisconnectedError,
    UpstreamError,
)
from app.domain.generation import Delta, Finish, ModelRequest, Role, StopReason, Turn
from app.domain.model import LLAMA_3_2_11B, Dialect, capabilities
from app.domain.output import Choice, JsonObject
from app.domain.ports import VisionModel
from app.domain.usage import Usage
from tests.support.servers.scripted import (
    CHUNKED,
    LAST_CHUNK,
    Peer,
    Script,
    answer,
    chunk,
    upstream,
)

ASKED = ModelRequest(turns=(Turn(Role.USER, "Why?"),))
EVENTS = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/event-stream\r\n\r\n")


@asynccontextmanager
async def model(script: Script, key: str | None = "key") -> AsyncIterator[VisionModel]:
    from app.adapters.openai.model import OpenAiVisionModel
    from app.adapters.openai.server import open_server

    able = capabilities(Dialect.OPENAI, LLAMA_3_2_11B)
    async with (
        upstream(script) as served,
        open_server(f"http://127.0.0.1:{served.port}/api/v1/", key, Limits(5, 5)) as server,
    ):
        yield OpenAiVisionModel(server, "llama", able)


def data(said: Any) -> bytes:
    return f"data: {said if isinstance(said, str) else json.dumps(said)}\n\n".encode()


def piece(text: str, finish: str | None = None) -> bytes:
    return data({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})


USAGE = data({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
WHOLE = piece("A") + b": a comment\n\n" + piece(" cat") + piece("", "stop") + USAGE + data("[DONE]")


def streaming(*bursts: bytes, head: bytes = EVENTS) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(head)
        for burst in bursts:
            await peer.say(chunk(burst))
        await peer.say(LAST_CHUNK)

    return script


async def read(asked: VisionModel, into: list[Any]) -> None:
    async with asked.stream(ASKED) as parts:
        async for arrived in parts:
            into += arrived


async def test_the_server_is_called_under_its_path_with_its_key_and_model_name():
    seen: list[tuple[bytes, Any]] = []

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            seen.append((head, json.loads(body)))
            await peer.say(answer(b'{"choices": [{"message": {"content": "A cat"}}]}'))

    async with model(script) as asked:
        assert (await asked.generate(ASKED)).text == "A cat"
        with pytest.raises(UpstreamAnswerError):
            await read(asked, [])

    (head, whole), (_, stream) = seen
    assert head.startswith(b"POST /api/v1/chat/completions HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer key\r\n" in head
    assert whole["model"] == "llama"
    assert "stream" not in whole
    assert (stream["stream"], stream["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("cut", [1, 7, 50, 10_000])
async def test_splitting_its_events_anywhere_gives_the_same_answer(cut):
    pieces = [WHOLE[start : start + cut] for start in range(0, len(WHOLE), cut)]
    parts: list[Any] = []
    async with model(streaming(*pieces)) as asked:
        await read(asked, parts)

    assert parts == [
        Delta("A"),
        Delta(" cat"),
        Finish(Usage(9, 2), StopReason.STOP, "stop"),
    ]


@pytest.mark.parametrize(
    ("end", "raised"),
    [
        (data({"error": {"message": "CUDA", "code": 500}}), ModelFailedError),
        (data("{"), UpstreamAnswerError),
        (b"", StreamTruncatedError),
    ],
)
async def test_deltas_before_a_failure_are_delivered_first(end, raised):
    parts: list[Any] = []
    async with model(streaming(piece("A"), end)) as asked:
        with pytest.raises(raised):
            await read(asked, parts)

    assert [part.text for part in parts] == ["A"]


async def test_a_connection_broken_within_a_stream_is_an_error_of_its_own():
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS + chunk(piece("A")))

    parts: list[Any] = []
    async with model(script) as asked:
        with pytest.raises(UpstreamDisconnectedError):
            await read(asked, parts)

    assert [part.text for part in parts] == ["A"]


async def refused(peer: Peer) -> None:
    while True:
        await peer.request()
        error = {"error": {"message": "json_schema: no grammar for it", "code": 400}}
        await peer.say(answer(json.dumps(error).encode(), status=400))


async def test_a_refused_output_form_is_recognised_both_plain_and_streamed():
    request = ModelRequest(turns=ASKED.turns, form=JsonObject())
    async with model(refused) as asked:
        with pytest.raises(OutputFormRefusedError):
            await asked.generate(request)
        with pytest.raises(OutputFormRefusedError):
            await asked.stream(request).__aenter__()


async def test_a_refusal_and_a_redirect_are_raised_when_the_stream_is_opened():
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b"", "Retry-After: 3", status=429))
        await peer.request()
        await peer.say(answer(b"", "Location: http://127.0.0.1:1/", status=302))

    async with model(script, key=None) as asked:
        with pytest.raises(ModelThrottledError) as caught:
            await asked.stream(ASKED).__aenter__()
        with pytest.raises(UpstreamError, match="302"):
            await asked.stream(ASKED).__aenter__()

    assert caught.value.retry_after == 3


async def test_a_choice_is_omitted_as_servers_have_no_common_parameter_for_it():
    bodies: list[Any] = []

    async def script(peer: Peer) -> None:
        bodies.append(json.loads((await peer.request())[1]))
        await peer.say(answer(b'{"choices": [{"message": {"content": "yes"}}]}'))

    async with model(script) as asked:
        await asked.generate(ModelRequest(turns=ASKED.turns, form=Choice(("yes", "no"))))

    assert "structured_outputs" not in bodies[0]
