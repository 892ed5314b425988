import pytest

from bench.peers.recording import whole

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4", False),
        (SIZED + b"abc", False),
        (SIZED + b"abcd", True),
        (CHUNKED, False),
        (CHUNKED + b"4\r\nabcd\r\n", False),
        (CHUNKED + b"4\r\nabcd\r\n0\r\n\r\n", True),
    ],
)
def test_a_reply_is_complete_at_its_announced_length(reply, expected):
    assert whole(reply) is expected
