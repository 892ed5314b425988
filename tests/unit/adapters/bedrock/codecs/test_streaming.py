"""Chunks and events of both dialects' streams."""

import base64
import json
from typing import Any

import pytest

from app.adapters.bedrock.codecs import converse as converse_wire
from app.adapters.bedrock.codecs import invoke
from app.adapters.bedrock.codecs.event_stream import Frame
from app.domain.errors import UpstreamAnswerError
from app.domain.generation import Delta, Finish, StopReason
from app.domain.usage import Usage


def chunk(**fields) -> bytes:
    return json.dumps(fields).encode()


def native(*chunks: bytes) -> tuple[invoke.StreamDecoder, list[Any]]:
    decoder = invoke.StreamDecoder()
    payloads = [json.dumps({"bytes": base64.b64encode(data).decode()}) for data in chunks]
    frames = [Frame({":event-type": "chunk"}, payload.encode()) for payload in payloads]
    return decoder, [part for frame in frames for part in decoder.feed(frame)]


def test_native_counts_come_from_the_first_and_the_last_chunk_and_the_last_text_is_kept():
    decoder, parts = native(
        chunk(generation="A", prompt_token_count=9, generation_token_count=1, stop_reason=None),
        chunk(generation=" cat", prompt_token_count=None, generation_token_count=2),
        chunk(
            generation=".",
            generation_token_count=3,
            stop_reason="length",
            **{"amazon-bedrock-invocationMetrics": {"invocationLatency": 12, "inputTokenCount": 9}},
        ),
    )

    assert parts == [
        Delta("A", Usage(9, 1)),
        Delta(" cat", Usage(9, 2)),
        Delta(".", Usage(9, 3)),
        Finish(Usage(9, 3), StopReason.LENGTH, "length", 12),
    ]
    assert decoder.finished


def test_a_character_split_over_two_chunks_arrives_whole():
    cat = json.dumps("\N{CAT FACE}")  # two escapes, a surrogate pair
    _, parts = native(
        b'{"generation": "a%b"}' % cat[1:7].encode(), b'{"generation": "%bb"}' % cat[7:13].encode()
    )

    assert [part.text for part in parts] == ["a", "\N{CAT FACE}b"]


def test_half_a_character_that_is_never_completed_is_replaced():
    _, parts = native(b'{"generation": "a\\udc31b"}')

    assert parts[0].text == "a\N{REPLACEMENT CHARACTER}b"


def test_half_a_character_at_the_very_end_is_replaced_as_in_a_plain_answer():
    _, parts = native(b'{"generation": "a"}', b'{"generation": "\\ud83d", "stop_reason": "stop"}')

    assert parts[1].text == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("payload", [b"<", b"[]", b'{"bytes": 5}', b'{"bytes": "PA"}'])
def test_a_frame_without_a_chunk_is_an_error(payload):
    with pytest.raises(UpstreamAnswerError):
        list(invoke.StreamDecoder().feed(Frame({":event-type": "chunk"}, payload)))


@pytest.mark.parametrize("data", [b"<", b"[]", b'"x"'])
def test_a_chunk_that_is_not_an_object_is_an_error(data):
    with pytest.raises(UpstreamAnswerError):
        native(data)


def converse(*events: tuple[str, Any]) -> tuple[converse_wire.StreamDecoder, list[Any]]:
    decoder = converse_wire.StreamDecoder()
    frames = [Frame({":event-type": name}, json.dumps(said).encode()) for name, said in events]
    parts = [part for frame in frames for part in decoder.feed(frame)]
    return decoder, [*parts, *decoder.end()]


def text(piece: str) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}


START = ("messageStart", {"role": "assistant"})
TEXT = text("Hi")
STOP = ("messageStop", {"stopReason": "max_tokens"})
METADATA = (
    "metadata",
    {"usage": {"inputTokens": 4, "outputTokens": 1}, "metrics": {"latencyMs": 5}},
)


def test_converse_counts_come_after_the_stop():
    decoder, parts = converse(START, TEXT, ("contentBlockStop", {}), STOP, METADATA)

    assert parts == [Delta("Hi"), Finish(Usage(4, 1), StopReason.LENGTH, "max_tokens", 5)]
    assert decoder.finished


def test_a_converse_stream_without_metadata_has_still_finished():
    decoder, parts = converse(START, TEXT, STOP)

    assert parts[-1] == Finish(Usage(), StopReason.LENGTH, "max_tokens")
    assert decoder.finished


def test_a_converse_stream_without_message_stop_has_not_finished():
    decoder, parts = converse(START, TEXT)

    assert parts == [Delta("Hi")]
    assert not decoder.finished


def test_unknown_events_are_ignored():
    _, parts = converse(("thought", {"name": "x"}), TEXT, STOP, METADATA)

    assert len(parts) == 2


def test_a_character_split_over_two_converse_events_arrives_whole():
    _, parts = converse(text("a\ud83d"), text("\ude31b"), text("\ud83d"), STOP, METADATA)

    deltas = [part.text for part in parts if isinstance(part, Delta)]
    assert deltas == ["a", "\N{FACE SCREAMING IN FEAR}b", "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(
    ("stop", "metadata"),
    [({}, {}), ({"stopReason": None}, {"usage": [], "metrics": None}), ({}, {"usage": {"x": 1}})],
)
def test_a_bare_message_stop_does_not_lose_a_paid_converse_answer(stop, metadata):
    decoder, parts = converse(TEXT, ("messageStop", stop), ("metadata", metadata))

    assert parts == [Delta("Hi"), Finish(Usage(), StopReason.OTHER, None)]
    assert decoder.finished


@pytest.mark.parametrize("payload", [b"<", b"[]", b""])
def test_an_event_that_is_not_an_object_is_an_error(payload):
    with pytest.raises(UpstreamAnswerError):
        list(converse_wire.StreamDecoder().feed(Frame({":event-type": "messageStop"}, payload)))
