"""Frames that the emulator encodes, decoded by botocore."""

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from app.emulator.wire import eventstream
from app.emulator.wire.errors import THROTTLING, AwsError


def decoded(*frames: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer: Any = EventStreamBuffer()
    for frame in frames:
        buffer.add_data(frame)
    return [(message.headers, message.payload) for message in buffer]


def test_a_chunk_contains_its_body_in_base64_and_padding() -> None:
    body = {"generation": "Grüße", "stop_reason": None}
    ((headers, payload),) = decoded(eventstream.chunk(body))
    fields = json.loads(payload)
    assert headers == {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert json.loads(base64.b64decode(fields["bytes"])) == body
    assert fields.keys() == {"bytes", "p"}
    assert fields["p"]


def test_an_exceptions_type_starts_with_a_lower_case_letter() -> None:
    ((headers, payload),) = decoded(eventstream.exception(AwsError(THROTTLING, "Slow down")))
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "throttlingException"
    assert json.loads(payload) == {"message": "Slow down"}


def test_frames_follow_each_other_without_a_gap() -> None:
    frames = [eventstream.event("messageStart", {"role": "assistant"}), eventstream.chunk({})]
    names = [headers[":event-type"] for headers, _ in decoded(*frames)]
    assert names == ["messageStart", "chunk"]


def test_a_deliberately_wrong_checksum_does_not_match() -> None:
    with pytest.raises(ChecksumMismatch):
        decoded(eventstream.with_wrong_checksum(eventstream.chunk({})))
