"""Whatever an upstream omits from or adds to a chat completion, a paid text is not lost."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.bedrock.codecs import chat
from app.domain.generation import Delta, Finish

TEXT = "A cat \N{CAT FACE} on a mat."
LOGPROBS = {
    "content": [
        {"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": [{"token": "A"}]},
        {"token": " cat", "logprob": -0.2, "bytes": None, "top_logprobs": []},
    ]
}
USAGE = {"prompt_tokens": 2795, "completion_tokens": 9, "total_tokens": 2804}
METRICS = {"inputTokenCount": 2795, "outputTokenCount": 9, "invocationLatency": 7}


def whole(text: str) -> dict[str, Any]:
    """Return an answer as in AWS's user guide."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text,
        "refusal": None,
        "tool_calls": [],
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "123456789012-abc",
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": LOGPROBS,
                "finish_reason": "stop",
                "stop_reason": None,
                "token_ids": None,
            }
        ],
        "usage": USAGE,
        "kv_transfer_params": None,
        "prompt_logprobs": None,
    }


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **more}


def chunks(text: str) -> list[dict[str, Any]]:
    """Return a stream as LiteLLM and vLLM send it."""
    middle = len(text) // 2
    return [
        piece({"role": "assistant", "content": ""}),
        piece({"content": text[:middle]}),
        piece({"content": text[middle:]}),
        piece({}, "stop"),
        {"choices": [], "usage": USAGE, "amazon-bedrock-invocationMetrics": METRICS},
    ]


Place = tuple[str | int, ...]


def places(said: Any, at: Place = ()) -> Iterator[Place]:
    """Yield the path of each member at any depth."""
    items = said.items() if isinstance(said, dict) else enumerate(said)
    for name, value in items:
        yield (*at, name)
        if isinstance(value, dict | list):
            yield from places(value, (*at, name))


def holds_text(at: Place, kept: frozenset[Place]) -> bool:
    return any(text[: len(at)] == at for text in kept)


def inside(said: Any, at: Place) -> Any:
    for name in at[:-1]:
        said = said[name]
    return said


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@st.composite
def damaged(draw: st.DrawFn, said: Any, kept: frozenset[Place]) -> Any:
    """Draw ``said`` with members missing, null, odd or unknown, but ``kept`` unchanged."""
    said = copy.deepcopy(said)
    others = [at for at in places(said) if not holds_text(at, kept)]
    for at in sorted(draw(st.sets(st.sampled_from(others), max_size=6)), key=len, reverse=True):
        holder, name = inside(said, at), at[-1]
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[name]
        else:
            holder[name] = None if draw(st.booleans()) else draw(odd)
    for at in [(), *(at[:-1] for at in kept)]:
        holder = inside(said, (*at, ""))
        if isinstance(holder, dict) and draw(st.booleans()):
            holder["unknown"] = draw(odd)
    return said


CONTENT: Place = ("choices", 0, "message", "content")


@given(damaged(whole(TEXT), frozenset({CONTENT})))
def test_a_plain_answers_text_is_kept_whatever_is_missing_null_or_unknown(said):
    assert chat.from_chat(json.dumps(said).encode(), {}).text == TEXT


DELTAS = frozenset({(number, "choices", 0, "delta", "content") for number in range(3)})
# Chunks that end the stream: what follows the end is not part of an answer.
ENDS = frozenset(
    {(number, "choices", 0, "finish_reason") for number in range(3)}
    | {(number, "error") for number in range(5)}
)


@given(damaged(chunks(TEXT), DELTAS | ENDS))
def test_a_streams_text_is_kept_whatever_is_missing_null_or_unknown(said):
    decoder, text = chat.ChunkDecoder(), ""
    for chunk in said:
        if not isinstance(chunk, dict):
            continue  # a frame that is not a chunk is an error of its own
        for part in decoder.feed(json.dumps(chunk).encode()):
            text += part.text if isinstance(part, Delta) else ""
        if decoder.finished:
            break

    assert text == TEXT


@given(st.sampled_from([None, ""]), st.booleans())
def test_a_stream_with_token_counts_but_no_finish_reason_is_complete(reason, gone):
    decoder = chat.ChunkDecoder()
    parts: list[Any] = []
    for chunk in chunks(TEXT):
        for choice in chunk["choices"]:
            choice["finish_reason"] = reason
            if gone:
                del choice["finish_reason"]
        parts += decoder.feed(json.dumps(chunk).encode())
    parts += decoder.end()

    *deltas, finish = parts
    assert "".join(delta.text for delta in deltas) == TEXT
    assert isinstance(finish, Finish)
    assert finish.usage.generation_token_count == USAGE["completion_tokens"]
