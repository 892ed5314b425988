"""The load generator and the stand-in upstream, over real sockets."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, closing
from itertools import repeat

import pytest

from bench import fetch
from bench.__main__ import rounds
from bench.peers import dialects, load_generator
from bench.peers.comparison import Comparison
from bench.peers.gateways import Gateway
from bench.peers.load_generator import Crowd, Expectation
from bench.peers.upstream import Connection, Upstream
from bench.peers.workloads import Workload
from fixtures.process import running

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello, sea!"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsea 1\r\n5\r\nsea 2\r\n0\r\n\r\n"
)
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nsea"
REPLIES = {"whole": WHOLE, "chunked": CHUNKED, "refused": REFUSED}
BODY = b"x" * 300_000
"""Larger than the upstream reads at once."""


@asynccontextmanager
async def serving(protocol):
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def upstream():
    shared = Upstream(REPLIES)
    return serving(lambda: Connection(shared))


def post(operation, body=BODY):
    head = f"POST /model/m/{operation} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return repeat((head.encode(), body))


async def get(url):
    return await asyncio.to_thread(fetch.get, url)


@pytest.mark.parametrize("operation", ["whole", "chunked"])
async def test_every_answer_is_counted_by_the_generator_and_by_the_upstream(operation):
    async with upstream() as url:
        with closing(Crowd(url, 4, Expectation(b"sea"))) as crowd:
            tally = await crowd.press(post(operation), 0.05)
        counted = json.loads(await get(f"{url}/bench"))

    assert tally.answered >= 4
    assert tally.failed == 0
    assert tally.outcomes == {"200": tally.answered}
    assert counted == {"requests": tally.answered, "bytes": tally.answered * len(BODY)}
    assert len(tally.first) == tally.answered
    assert all(first <= last for first, last in zip(tally.first, tally.seconds, strict=True))


@pytest.mark.parametrize(
    ("operation", "expectation", "outcome"),
    [
        ("refused", Expectation(b"sea"), "503"),
        ("whole", Expectation(b"lake"), "incomplete"),
        ("chunked", Expectation(b"sea", 3), "incomplete"),
        ("unknown", Expectation(b"sea"), "404"),
    ],
)
async def test_an_incomplete_answer_is_a_failure(operation, expectation, outcome):
    async with upstream() as url:
        with closing(Crowd(url, 2, expectation)) as crowd:
            tally = await crowd.press(post(operation), 0)

    assert (tally.answered, tally.outcomes) == (0, {outcome: 2})


async def test_a_connection_that_closes_without_an_answer_is_a_failure():
    class Closing(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.close()

    async with serving(Closing) as url:
        with closing(Crowd(url, 2, Expectation(b"sea"))) as crowd:
            tally = await crowd.press(post("whole", b"x"), 0)

    assert (tally.answered, tally.outcomes) == (0, {"broken": 2})


async def test_a_late_reply_is_not_counted_for_the_next_request(monkeypatch):
    monkeypatch.setattr(load_generator, "PATIENCE", 0.05)
    asked = []

    class Late(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            asked.append(self.transport)
            if len(asked) > 1:
                asked[0].write(WHOLE)

    async with serving(Late) as url:
        with closing(Crowd(url, 1, Expectation(b"sea"))) as crowd:
            tallies = [await crowd.press(post("whole", b"x"), 0) for _ in range(2)]

    assert [tally.outcomes for tally in tallies] == [{"unanswered": 1}] * 2
    assert asked[0] is not asked[1]


def test_a_gateway_that_hangs_is_not_tried_again_with_that_workload(monkeypatch, tmp_path):
    monkeypatch.setattr(load_generator, "PATIENCE", 0.05)
    with (
        running("bench.peers.upstream", str(tmp_path)) as it,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hanging = Gateway("hanging", url, dialects.direct(), it.process.pid)
        stand = Comparison(it.url, it.process.pid, one_core=False, gateways=[hanging])

        runs = list(rounds(stand, [Workload("text", "", 3)], 4, 0.2))

    assert [(run.answered, run.outcomes) for run in runs] == [(0, {"unanswered": 3})]


async def test_the_upstream_records_the_body_and_path_on_request():
    async with upstream() as url:
        await get(f"{url}/bench/keep")
        with closing(Crowd(url, 1, Expectation(b"sea"))) as crowd:
            await crowd.press(post("whole"), 0)
        body, operation = await get(f"{url}/bench/body"), await get(f"{url}/bench/operation")

    assert (body, operation) == (BODY, b"whole")


async def test_the_upstream_accepts_a_request_sent_in_pieces():
    def ask(url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            for piece in (b"POST /m/whole HTTP/1.1\r\ncontent-le", b"ngth: 4\r\n\r\nab", b"cd"):
                connection.sendall(piece)
            return connection.recv(1000)

    async with upstream() as url:
        assert await asyncio.to_thread(ask, url) == WHOLE
        assert json.loads(await get(f"{url}/bench")) == {"requests": 1, "bytes": 4}
