"""AWS event-stream frames, checked with botocore's decoder and its service model."""

from typing import Any

import botocore.session
import pytest
from botocore.eventstream import EventStreamBuffer

from app.api.bedrock import errors as aws
from app.api.bedrock import event_stream
from app.domain import errors

MODEL: Any = botocore.session.get_session().get_service_model("bedrock-runtime")

# Errors common to all AWS services, raised before an operation is reached.
COMMON = {
    "ExpiredTokenException",
    "MissingAuthenticationTokenException",
    "RequestEntityTooLargeException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}


def decoded(frames: bytes) -> list[tuple[Any, bytes]]:
    buffer = EventStreamBuffer()
    # Byte by byte: no frame may depend on the next.
    found = []
    for byte in frames:
        buffer.add_data(bytes((byte,)))
        found += [(message.headers, message.payload) for message in buffer]
    return found


def test_consecutive_frames_are_decoded_with_valid_checksums():
    frames = event_stream.event("messageStart", {"role": "assistant"}) + event_stream.chunk(
        {"a": 1}
    )

    assert decoded(frames) == [
        (
            {
                ":event-type": "messageStart",
                ":content-type": "application/json",
                ":message-type": "event",
            },
            b'{"role":"assistant"}',
        ),
        (
            {
                ":event-type": "chunk",
                ":content-type": "application/json",
                ":message-type": "event",
            },
            b'{"bytes":"eyJhIjoxfQ=="}',
        ),
    ]


@pytest.mark.parametrize("cls", list(errors.catalogue()), ids=lambda cls: cls.code)
def test_every_error_in_the_catalogue_is_known_to_awss_sdks(cls):
    found = aws.aws_error(cls("detail"))

    if found.type not in COMMON:
        assert MODEL.shape_for(found.type).metadata["error"]["httpStatusCode"] == found.status


@pytest.mark.parametrize("cls", list(errors.catalogue()), ids=lambda cls: cls.code)
def test_every_error_within_a_stream_is_one_that_the_stream_declares(cls):
    ((headers, payload),) = decoded(event_stream.exception(cls("detail")))

    assert headers[":message-type"] == "exception"
    for stream in ("ResponseStream", "ConverseStreamOutput"):
        assert headers[":exception-type"] in MODEL.shape_for(stream).members
    assert b'"message":"detail"' in payload
