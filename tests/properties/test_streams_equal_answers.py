"""A streamed answer equals the same answer in one piece, in each of Bedrock's dialects."""

import base64
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.bedrock.codecs import chat, converse, invoke
from app.adapters.bedrock.codecs.event_stream import Frame
from app.domain.generation import Completion, Delta, Finish, StreamPart

SIGNS = [
    "a",
    " ",
    "\n",
    "\u2028",
    "\x00",
    "ß",
    "\N{CAT FACE}",
    "\u0301",
    "<|eot_id|>",
    "\ufffd",
    '"',
]
TEXTS = st.lists(st.sampled_from(SIGNS), max_size=8).map("".join)
TRACE: dict[str, Any] = {
    "guardrail": {"inputAssessment": {"g": {"wordPolicy": {"customWords": []}}}}
}
NATIVE_TRACE = {"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": TRACE}


@st.composite
def cut(draw: st.DrawFn) -> list[str]:
    """Draw a text in pieces, cut between UTF-16 units as Java and JavaScript do."""
    units = draw(TEXTS).encode("utf-16-le")
    ends = sorted(draw(st.lists(st.integers(0, len(units) // 2), max_size=6)))
    bounds = [0, *(end * 2 for end in ends), len(units)]
    return [
        units[start:end].decode("utf-16-le", "surrogatepass") for start, end in pairwise(bounds)
    ]


def joined(pieces: list[str]) -> str:
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def told(parts: Iterable[StreamPart]) -> tuple[Any, ...]:
    *deltas, finish = parts
    assert isinstance(finish, Finish)
    assert all(isinstance(delta, Delta) for delta in deltas)
    text = "".join(delta.text for delta in deltas if isinstance(delta, Delta))
    return (text, finish.usage, finish.stop_reason, finish.stop_reason_raw, finish.guardrail)


def whole(completion: Completion) -> tuple[Any, ...]:
    return (
        completion.text,
        completion.usage,
        completion.stop_reason,
        completion.stop_reason_raw,
        completion.guardrail,
    )


def fed(decoder: Any, frames: Iterable[Any]) -> list[StreamPart]:
    parts = [part for frame in frames for part in decoder.feed(frame)]
    return [*parts, *decoder.end()]


@given(cut(), st.sampled_from(["stop", "length", "new"]), st.booleans(), st.integers(0, 2))
def test_a_native_stream_equals_the_answer(pieces, stop, guarded, where):
    members = NATIVE_TRACE if guarded else {}
    counts = {"prompt_token_count": 7, "generation_token_count": len(pieces)}
    body = {"generation": joined(pieces), "stop_reason": stop, **counts, **members}
    chunks: list[dict[str, Any]] = [{"generation": piece} for piece in pieces]
    chunks[where % len(chunks)] |= {"generation_token_count": 1}
    chunks[0]["prompt_token_count"] = 7
    chunks.append({"generation": None, "stop_reason": stop, "generation_token_count": len(pieces)})
    chunks[-1] |= members
    frames = [
        Frame({}, json.dumps({"bytes": base64.b64encode(json.dumps(c).encode()).decode()}).encode())
        for c in chunks
    ]

    assert told(fed(invoke.StreamDecoder(), frames)) == whole(
        invoke.from_invoke(json.dumps(body).encode(), {})
    )


@given(cut(), st.sampled_from(["end_turn", "max_tokens", "guardrail_intervened", "new"]))
def test_a_converse_stream_equals_the_answer(pieces, stop):
    usage = {"inputTokens": 7, "outputTokens": len(pieces), "totalTokens": 7 + len(pieces)}
    more = {"usage": usage, "trace": TRACE if stop == "guardrail_intervened" else {}}
    message = {"role": "assistant", "content": [{"text": joined(pieces)}]}
    body = {"output": {"message": message}, "stopReason": stop, **more}
    said: list[tuple[str, Any]] = [
        ("contentBlockDelta", {"delta": {"text": piece}}) for piece in pieces
    ]
    said += [("contentBlockStop", {}), ("messageStop", {"stopReason": stop}), ("metadata", more)]
    frames = [Frame({":event-type": name}, json.dumps(event).encode()) for name, event in said]

    assert told(fed(converse.StreamDecoder(), frames)) == whole(
        converse.from_converse(json.dumps(body).encode())
    )


@pytest.mark.parametrize("guard_at", [None, 0, -2, -1], ids=["none", "first", "stop", "counts"])
@given(cut(), st.sampled_from(["stop", "length", "content_filter", "new"]), st.booleans())
def test_a_chat_stream_equals_the_answer(guard_at, pieces, stop, done):
    members = {} if guard_at is None else NATIVE_TRACE
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": len(pieces)}}
    message = {"role": "assistant", "content": joined(pieces)}
    body = {"choices": [{"message": message, "finish_reason": stop}], **usage, **members}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    chunks += [{"choices": [{"delta": {"content": None}, "finish_reason": stop}]}]
    chunks += [{"choices": [], **usage}]
    if guard_at is not None:
        chunks[guard_at] |= members
    sent = [json.dumps(chunk).encode() for chunk in chunks]

    assert told(fed(chat.ChunkDecoder(), sent)) == whole(
        chat.from_chat(json.dumps(body).encode(), {})
    )
    if done:
        decoder = chat.ChunkDecoder()
        assert told(fed(decoder, [*sent[:-1], b"[DONE]"]))[0] == joined(pieces)
