"""Encodes AWS's event-stream frames.

A frame is ``u32 total length, u32 length of headers, u32 CRC-32 of those two, headers, payload, u32
CRC-32 of everything before``, big-endian. A header is ``u8 length of name, name, u8 type, u16
length of value, value``; type 7 is a string. Source: AWS's event-stream encoding, as botocore
decodes it.
"""

import struct
from binascii import crc32
from functools import cache
from typing import Any

import orjson
import pybase64

from app.api.bedrock import errors
from app.domain.errors import ServiceError

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_OVERHEAD = 16
_WITHIN_STREAMS = frozenset(
    {errors.VALIDATION, errors.THROTTLING, errors.UNAVAILABLE, errors.INTERNAL, errors.TRUNCATED}
)


def frame(headers: bytes, payload: bytes) -> bytes:
    """Return a frame with both checksums."""
    prelude = struct.pack(">II", _OVERHEAD + len(headers) + len(payload), len(headers))
    checked = b"%b%b%b%b" % (prelude, struct.pack(">I", crc32(prelude)), headers, payload)
    return checked + struct.pack(">I", crc32(checked))


def event(name: str, payload: dict[str, Any]) -> bytes:
    """Return the frame of one event."""
    return frame(_headers("event", name), orjson.dumps(payload))


def chunk(body: dict[str, Any]) -> bytes:
    """Return the frame of one ``chunk``, whose payload carries ``body`` in base64."""
    return event("chunk", {"bytes": pybase64.b64encode_as_string(orjson.dumps(body))})


def exception(error: ServiceError) -> bytes:
    """Return the frame of an error within a stream.

    AWS's service models define five exceptions there; every other error becomes the model stream's.
    """
    described = errors.aws_error(error)
    known = described if described in _WITHIN_STREAMS else errors.TRUNCATED
    return frame(_headers("exception", known.frame_type), errors.message(error))


@cache
def _headers(kind: str, name: str) -> bytes:
    return b"".join(
        _header(key, value)
        for key, value in (
            (f":{kind}-type", name),
            (":content-type", "application/json"),
            (":message-type", kind),
        )
    )


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return b"%b%b%b%b" % (
        struct.pack(">B", len(raw_name)),
        raw_name,
        struct.pack(">BH", _STRING, len(raw_value)),
        raw_value,
    )
