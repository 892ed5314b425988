"""AWS's event-stream frames, encoded by hand so that an SDK's decoder can judge them.

A frame is ``u32 total length, u32 length of headers, u32 CRC-32 of those two, headers, payload,
u32 CRC-32 of all before``, big-endian. A header is ``u8 length of name, name, u8 type,
u16 length of value, value``; type 7 is a string.
"""

import struct
from binascii import b2a_base64, crc32
from typing import Any

import orjson

from app.emulator.wire.errors import AwsError

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_STRING = 7
_FRAME_OVERHEAD = 16
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return b"".join(
        (
            struct.pack(">B", len(raw_name)),
            raw_name,
            struct.pack(">BH", _STRING, len(raw_value)),
            raw_value,
        )
    )


def frame(headers: bytes, payload: bytes) -> bytes:
    """Return one whole frame with both checksums right."""
    prelude = struct.pack(">II", _FRAME_OVERHEAD + len(headers) + len(payload), len(headers))
    body = b"".join((prelude, struct.pack(">I", crc32(prelude)), headers, payload))
    return body + struct.pack(">I", crc32(body))


def with_wrong_checksum(whole: bytes) -> bytes:
    """Return the frame with the last bit of its checksum turned over."""
    return whole[:-1] + bytes((whole[-1] ^ 1,))


def _event_headers(event_type: str) -> bytes:
    return (
        _header(":event-type", event_type)
        + _header(":content-type", "application/json")
        + _header(":message-type", "event")
    )


_EVENT_HEADERS = {
    name: _event_headers(name)
    for name in (
        "chunk",
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    )
}


def event(event_type: str, payload: dict[str, Any]) -> bytes:
    """Return the frame of one event of a Converse stream."""
    return frame(_EVENT_HEADERS[event_type], orjson.dumps({**payload, "p": _padding(payload)}))


def chunk(body: dict[str, Any]) -> bytes:
    """Return the frame of one chunk of an InvokeModel stream: the body in base64, in JSON."""
    encoded = b2a_base64(orjson.dumps(body), newline=False)
    payload = b'{"bytes":"' + encoded + b'","p":"' + _padding(body).encode() + b'"}'
    return frame(_EVENT_HEADERS["chunk"], payload)


def _padding(payload: dict[str, Any]) -> str:
    # Bedrock pads its events, so that their length does not betray the text; clients skip it.
    return _PADDING[: 1 + len(str(payload)) % len(_PADDING)]


def exception(error: AwsError) -> bytes:
    """Return the frame of an error that happens while a stream runs."""
    headers = (
        _header(":exception-type", error.kind.frame_type)
        + _header(":content-type", "application/json")
        + _header(":message-type", "exception")
    )
    return frame(headers, error.body)
