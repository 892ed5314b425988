"""Our decoder of AWS's event-stream frames accepts and refuses what the AWS SDK's does."""

import struct
from itertools import pairwise
from typing import Any
from zlib import crc32

from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.bedrock.codecs.event_stream import FrameDecoder

Read = tuple[dict[str, str], bytes]

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: len(name.encode()) < 256
)


def fixed(kind: int, size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).map(lambda value: bytes([kind]) + value)


def sized(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value


values = st.one_of(
    st.sampled_from([b"\0", b"\1"]),  # true, false
    fixed(2, 1),
    fixed(3, 2),
    fixed(4, 4),
    fixed(5, 8),
    st.binary(max_size=40).map(lambda value: sized(6, value)),
    st.text(max_size=40).map(lambda value: sized(7, value.encode())),
    fixed(8, 8),
    fixed(9, 16),
)


def encode(headers: dict[str, bytes], payload: bytes) -> bytes:
    head = b"".join(
        bytes([len(name.encode())]) + name.encode() + value for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    frame = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return frame + struct.pack(">I", crc32(frame))


frames = st.builds(encode, st.dictionaries(names, values, max_size=5), st.binary(max_size=200))


@st.composite
def pieces(draw, sent: bytes) -> list[bytes]:
    cuts = draw(st.lists(st.integers(0, len(sent)), max_size=8).map(sorted))
    return [sent[start:end] for start, end in pairwise([0, *cuts, len(sent)])]


def ours(received: list[bytes]) -> tuple[list[Read], bool]:
    """Return the frames read, and whether the rest was refused."""
    decoder, found = FrameDecoder(), []
    try:
        for piece in received:
            for frame in decoder.feed(piece):
                found.append((dict(frame.headers), frame.payload))
    except ParserError:
        return found, True
    return found, False


def theirs(received: list[bytes]) -> tuple[list[Read], bool]:
    buffer: Any = EventStreamBuffer()
    found: list[Read] = []
    try:
        for piece in received:
            buffer.add_data(piece)
            for message in buffer:
                texts = {k: v for k, v in message.headers.items() if isinstance(v, str)}
                found.append((texts, message.payload))
    except ParserError:
        return found, True
    return found, False


@given(st.lists(frames, max_size=5), st.data())
def test_frames_are_read_as_the_sdk_reads_them_however_they_are_split(sent, data):
    received = data.draw(pieces(b"".join(sent)))
    read, refused = ours(received)

    assert (read, refused) == theirs(received)
    assert len(read) == len(sent)
    assert not refused


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_frames_with_a_damaged_byte_are_refused_as_the_sdk_refuses_them(sent, data):
    whole = bytearray(b"".join(sent))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    received = data.draw(pieces(bytes(whole)))
    read, refused = ours(received)

    assert (read, refused) == theirs(received)
    assert refused


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_an_incomplete_frame_is_waited_for(sent, data):
    whole = b"".join(sent)
    received = data.draw(pieces(whole[: data.draw(st.integers(0, len(whole) - 1))]))

    assert ours(received) == theirs(received)
    assert not ours(received)[1]


@given(st.binary(min_size=12, max_size=80))
def test_noise_is_refused(noise):
    assert ours([noise]) == theirs([noise])
