"""Sends one prompt in every dialect and reads the guardrail's part of each answer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from botocore.eventstream import EventStreamBuffer

from tests.support.clients import sse

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
SETTINGS: dict[str, Any] = {
    "guardrail_kind": "apply",
    "guardrail_id": "strict",
    "guardrail_version": "1",
    "guardrail_input": "off",
    "guardrail_output": "off",
}
"""The emulator's strict guardrail, which is off unless a request enables it."""


@dataclass(frozen=True)
class Shown:
    """The parts of an answer that a guardrail decides."""

    text: str
    """All text of the answer that comes from the model."""
    blocked: bool
    """Whether the answer says, in its dialect's way, that a guardrail blocked it."""
    report: Any
    """The member ``guardrail``, or the trace in the AWS dialects; None if absent."""
    raw: bytes
    deltas: int = 0
    """Pieces of text."""


Ask = Callable[[httpx.Client, str, dict[str, str], dict[str, Any]], Shown]


def generate(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    reply = http.post("/v1/generate", json={"prompt": prompt, **more}, headers=headers)
    body = reply.json()
    if reply.status_code == 422:
        assert body["code"] == "guardrail_blocked"
        return Shown("", True, body["guardrail"], reply.content)
    assert reply.status_code == 200, reply.text
    return Shown(body["generation"], False, body["guardrail"], reply.content)


def generate_stream(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    body = {"prompt": prompt, "stream": True, **more}
    reply = http.post("/v1/generate", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    events = sse.read(reply)
    events.assert_well_formed()
    last, failed = events.last(), events.names[-1] == "error"
    if failed:
        assert last["code"] == "guardrail_blocked"
    return Shown(events.text, failed, last["guardrail"], reply.content, events.names.count("delta"))


def chat(http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]) -> Shown:
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}
    reply = http.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    said = reply.json()
    (choice,) = said["choices"]
    blocked = choice["finish_reason"] == "content_filter"
    return Shown(choice["message"]["content"], blocked, said.get("guardrail"), reply.content)


def chat_stream(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    messages = [{"role": "user", "content": prompt}]
    body = {"model": MODEL, "messages": messages, "stream": True, **more}
    reply = http.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    blocked = chunks[-1]["choices"][0]["finish_reason"] == "content_filter"
    pieces = [text for text in texts if text]
    return Shown("".join(pieces), blocked, chunks[-1].get("guardrail"), reply.content, len(pieces))


def responses(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    reply = http.post(
        "/v1/responses", json={"model": MODEL, "input": prompt, **more}, headers=headers
    )
    assert reply.status_code == 200, reply.text
    return _response(reply.json(), reply.content)


def responses_stream(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    body = {"model": MODEL, "input": prompt, "stream": True, **more}
    reply = http.post("/v1/responses", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    return _response(events[-1]["response"], reply.content)


def _response(said: dict[str, Any], raw: bytes) -> Shown:
    text = "".join(part["text"] for item in said["output"] for part in item["content"])
    blocked = (said["incomplete_details"] or {}).get("reason") == "content_filter"
    return Shown(text, blocked, said.get("guardrail"), raw)


def converse(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    body = {"messages": [{"role": "user", "content": [{"text": prompt}]}], **more}
    reply = http.post(f"/model/{MODEL}/converse", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    said = reply.json()
    text = said["output"]["message"]["content"][0]["text"]
    return _aws(text, said["stopReason"] == "guardrail_intervened", said, reply.content)


def converse_stream(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    body = {"messages": [{"role": "user", "content": [{"text": prompt}]}], **more}
    reply = http.post(f"/model/{MODEL}/converse-stream", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    frames = list(_frames(reply.content))
    text = "".join(said["delta"]["text"] for name, said in frames if name == "contentBlockDelta")
    (stop,) = [said["stopReason"] for name, said in frames if name == "messageStop"]
    return _aws(text, stop == "guardrail_intervened", frames[-1][1], reply.content)


def invoke(http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]) -> Shown:
    reply = http.post(f"/model/{MODEL}/invoke", json={"prompt": prompt, **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    return _invoked(reply.json()["generation"], reply.json(), reply.content)


def invoke_stream(
    http: httpx.Client, prompt: str, headers: dict[str, str], more: dict[str, Any]
) -> Shown:
    path = f"/model/{MODEL}/invoke-with-response-stream"
    reply = http.post(path, json={"prompt": prompt, **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    from base64 import b64decode

    chunks = [json.loads(b64decode(said["bytes"])) for _, said in _frames(reply.content)]
    return _invoked("".join(chunk["generation"] for chunk in chunks), chunks[-1], reply.content)


def _invoked(text: str, said: dict[str, Any], raw: bytes) -> Shown:
    acted = said.get("amazon-bedrock-guardrailAction") == "INTERVENED"
    return _aws(text, acted, {"trace": said.get("amazon-bedrock-trace")}, raw)


def _aws(text: str, acted: bool, said: dict[str, Any], raw: bytes) -> Shown:
    """Read an answer of an AWS dialect, which has one word for masked and for blocked."""
    trace = said.get("trace")
    blocked = acted and "Sorry, this text was blocked" in text
    return Shown("" if blocked else text, blocked, trace, raw)


def _frames(raw: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    for frame in buffer:
        yield str(frame.headers[":event-type"]), json.loads(frame.payload)  # type: ignore[index]


DIALECTS: dict[str, Ask] = {
    ask.__name__: ask
    for ask in (
        generate,
        generate_stream,
        chat,
        chat_stream,
        responses,
        responses_stream,
        converse,
        converse_stream,
        invoke,
        invoke_stream,
    )
}
