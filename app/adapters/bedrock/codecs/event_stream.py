"""AWS's event-stream frames. Pure.

A frame: total length, headers' length, checksum of these eight bytes; headers; payload; checksum
of all before it. Lengths and checksums are 32 bits, big-endian; checksums are CRC-32.

The SDK's own decoder costs more than everything else that is done with a chunk of a stream. A
property test compares this one with it.

Source: the Smithy specification's "Amazon Event Stream".
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import orjson
from botocore.eventstream import ParserError
from pybase64 import b64decode

from app.domain.errors import UpstreamAnswerError

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_AROUND = _PRELUDE.size + _CHECKSUM.size
MAX_FRAME = 24 * 2**20
"""Bytes; what the SDK takes too."""
# Bytes of a header's value by its type; strings and byte strings say their own length.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_STRING = 7
_VARIABLE = (6, _STRING)


class Frame(NamedTuple):
    """One event, or an exception."""

    headers: Mapping[str, str]
    """The headers whose value is a string: ``:message-type``, ``:event-type``, …"""
    payload: bytes


@dataclass(slots=True)
class FrameDecoder:
    """Puts frames together, wherever they were cut on their way."""

    _held: bytes = field(default=b"", repr=False)

    def feed(self, received: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete, or raise botocore's ParserError."""
        data = self._held + received if self._held else received
        at = 0
        while len(data) - at >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(data, at)
            if checksum != crc32(data[at : at + 8]) or not headers + _AROUND <= total <= MAX_FRAME:
                raise ParserError("a frame's lengths are damaged")
            if len(data) - at < total:
                break
            yield _frame(data[at : at + total], _PRELUDE.size + headers)
            at += total
        self._held = data[at:]


def chunk(frame: Frame) -> bytes:
    """Return the chunk in a frame of InvokeModel's stream, or raise UpstreamAnswerError."""
    try:
        return b64decode(orjson.loads(frame.payload).get("bytes", b"e30="))
    except (ValueError, AttributeError, TypeError) as error:
        raise UpstreamAnswerError("a frame of Bedrock's stream holds no chunk") from error


def _frame(data: bytes, headers_end: int) -> Frame:
    end = len(data) - _CHECKSUM.size
    if _CHECKSUM.unpack_from(data, end)[0] != crc32(data[:end]):
        raise ParserError("a frame is damaged")
    return Frame(_headers(data[_PRELUDE.size : headers_end]), data[headers_end:end])


@lru_cache(maxsize=64)  # the same for every chunk of every stream
def _headers(data: bytes) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            kind, start = data[name_end], name_end + 1
            if kind in _VARIABLE:
                end = start + 2 + int.from_bytes(data[start : start + 2])
                start += 2
            else:
                end = start + _FIXED[kind]
            if end > len(data):
                raise ParserError("a frame's headers are damaged")
            if kind == _STRING:
                headers[data[at + 1 : name_end].decode()] = data[start:end].decode()
            at = end
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ParserError("a frame's headers are damaged") from error
    return headers
