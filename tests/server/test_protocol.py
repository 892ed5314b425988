"""Heads that are too long, too slow or smuggle requests; answers that are not read."""

import asyncio
import json
import random
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
import uvicorn
from uvicorn.server import ServerState

from app.server import descriptors
from app.server.protocol import CHUNKS, SMALL, WAITING, BoundedProtocol, SharedBufferProtocol
from app.server.serving import Server
from app.settings import Settings
from app.telemetry import RequestRecord
from tests.support.clients.problem import problem
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig


class Impatient(BoundedProtocol):
    head_seconds = 0.3
    write_seconds = 0.3

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # So that the kernel buffers little of an answer.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().connection_made(transport)


@contextmanager
def connected(
    protocol: type[asyncio.BaseProtocol] = SharedBufferProtocol,
    more: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[socket.socket]:
    with serving(Rig(more=dict(more or {})).app(), http=protocol, **options) as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as raw:
            yield raw


def received(raw: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    found = b""
    try:
        while piece := raw.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def answer(raw: socket.socket) -> bytes:
    """Return the next answer without the bytes after it."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += raw.recv(1)
    length = int(found.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while length:
        piece = raw.recv(length)
        found, length = found + piece, length - len(piece)
    return found


class Noting:
    """A transport that records what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.written: list[bytes] = []
        self._transport = transport

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_head_and_body_of_an_answer_are_written_together():
    opened: list[Noting] = []

    class Noted(BoundedProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            opened.append(Noting(transport))
            super().connection_made(opened[-1])  # type: ignore[arg-type]

    with connected(Noted) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = received(raw)

    assert answer.startswith(b"HTTP/1.1 200")
    assert [noting.written for noting in opened if noting.written] == [[answer]]


def test_the_head_of_an_answer_without_a_body_is_sent():
    with connected() as raw:
        raw.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_head_does_not_wait_for_a_later_body():
    async def slow(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()  # the body, which the client sends after the head
        await send({"type": "http.response.body", "body": b"late"})

    with serving(slow, http=SharedBufferProtocol, lifespan="off") as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
            head = raw.recv(65536)
            raw.sendall(b"{}")

            assert head.startswith(b"HTTP/1.1 200")
            assert b"late" in raw.recv(65536)


def test_headers_of_a_usual_length_are_accepted():
    with connected() as raw:
        padding = b"a" * 30_000
        raw.sendall(
            b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: " + padding
        )
        raw.sendall(b"\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 400_000,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
        + b"x: aaaaaaaaaaaaaaaa\r\n" * 20_000
        + b"\r\n",
        b"GET /" + b"a" * 400_000,
    ],
    ids=["one long header", "many headers", "long path"],
)
def test_an_endless_head_is_cut_off(head):
    with connected() as raw:
        try:
            raw.sendall(head)
        except (BrokenPipeError, ConnectionResetError):
            return

        assert b"HTTP/1.1 200" not in received(raw)


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"])
def test_a_head_that_does_not_arrive_times_out(begun):
    with connected(Impatient) as raw:
        raw.sendall(begun)

        assert received(raw) == b""


def test_a_second_request_has_its_own_timeout():
    with connected(Impatient) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost")

        assert b"HTTP/1.1" not in received(raw)


def until_hung_up(raw: socket.socket, drip: bytes) -> None:
    """Send ``drip`` repeatedly until the connection is closed."""
    until = time.monotonic() + 60
    with suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() < until:
            raw.sendall(drip)
            time.sleep(0.1)
    assert time.monotonic() < until, "the connection stayed open"


HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
LONG = b"content-length: 1000000\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("asked", "drip"),
    [
        (HEALTH + b"\r\n", b"\r\n"),
        (HEALTH + LONG, b" "),
        (HEALTH + CHUNKED, b"1\r\nx\r\n"),
        (b"POST /v1/nothing HTTP/1.1\r\nhost: localhost\r\n" + LONG, b" "),
    ],
    ids=["blank lines", "rest of a body", "chunks", "rest of a refused body"],
)
def test_a_slow_trickle_after_an_answer_does_not_hold_the_connection(asked, drip):
    with connected(timeout_keep_alive=1) as raw:
        raw.sendall(asked)
        assert raw.recv(65536).startswith(b"HTTP/1.1 ")

        until_hung_up(raw, drip)


def test_a_body_that_arrives_after_its_answer_leaves_the_full_idle_time():
    with connected(timeout_keep_alive=4) as raw:
        raw.sendall(HEALTH + b"content-length: 3\r\n\r\n")
        assert answer(raw).startswith(b"HTTP/1.1 200 ")
        time.sleep(2.2)
        raw.sendall(b"abc")
        time.sleep(2.2)
        raw.sendall(HEALTH + b"connection: close\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


def opened(app: Any) -> tuple[BoundedProtocol, Mock]:
    """Return a protocol without a server, and its transport."""
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    transport = Mock(
        is_closing=lambda: False, get_extra_info=lambda _: None, get_write_buffer_size=lambda: 0
    )
    protocol = BoundedProtocol(config, ServerState(), {})
    protocol.connection_made(transport)
    return protocol, transport


async def test_an_idle_time_begins_with_each_answer_and_needs_one_timer():
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    protocol, transport = opened(app)
    clock = Mock(return_value=100.0)
    timers = Mock(side_effect=lambda when, _: Mock(when=lambda: when))
    protocol.loop = Mock(wraps=protocol.loop, time=clock, call_at=timers)
    due = protocol.timeout_keep_alive + 100.0
    for seconds in (0, 3):
        clock.return_value = 100.0 + seconds
        protocol.data_received(HEALTH + b"\r\n")
        await asyncio.gather(*protocol.tasks)

    (begun,) = timers.call_args_list
    assert begun.args[0] == due
    look = begun.args[1]
    clock.return_value = due
    look()
    assert not transport.close.called
    assert timers.call_args.args == (due + 3, look)
    clock.return_value = due + 3
    look()
    assert transport.close.called


async def ended(protocol: BoundedProtocol) -> None:
    for task in protocol.tasks:
        task.cancel()
    await asyncio.gather(*protocol.tasks, return_exceptions=True)
    protocol.connection_lost(None)


async def endless(scope: object, receive: object, send: object) -> None:
    await asyncio.Event().wait()


async def test_a_client_that_disconnects_while_waiting_for_memory_is_noticed():
    protocol, transport = opened(endless)
    # Larger than the read buffer.
    head = b"POST /v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
    protocol.data_received(head + b" " * 100_000)

    # The end of what is not read is not noticed either.
    assert [name for name, *_ in transport.mock_calls if name.endswith("reading")] == [
        "pause_reading",
        "resume_reading",
    ]
    await ended(protocol)


async def test_pipelined_bytes_after_a_request_are_read_only_up_to_a_bound():
    protocol, _ = opened(endless)
    protocol.data_received((HEALTH + b"\r\n") * 1000)

    assert protocol.flow.read_paused
    assert len(protocol.pipeline) == WAITING
    # The first waiting request is the last one answered.
    assert not protocol.cycle.keep_alive
    await ended(protocol)


async def test_a_client_that_disconnects_with_a_pipelined_request_abandons_both():
    seen = []

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    protocol, _ = opened(noted)
    protocol.data_received((HEALTH + b"\r\n") * 2)
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)

    assert seen == ["http.disconnect"]


def test_a_connection_with_a_request_begun_is_not_idle():
    with connected(timeout_keep_alive=1) as raw:
        # The second request begins before the first is answered.
        raw.sendall(HEALTH + b"\r\n" + HEALTH)
        assert answer(raw).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.5)
        raw.sendall(b"connection: close\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        b"content-length : 5\r\n\r\n12345",
        b"content-length: +5\r\n\r\n12345",
        b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_of_ambiguous_length_is_refused(request_):
    with connected() as raw:
        raw.sendall(
            b"POST /v1/generate HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + request_
        )

        assert received(raw).startswith(b"HTTP/1.1 400 ")


CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
AWS = b"POST /model/us.meta.llama3-2-11b-instruct-v1%3A0/invoke HTTP/1.1\r\nhost: localhost\r\n"
GENERATE = b"POST /v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
ID = b"x-request-id: mine\r\n"
TWO_ENDS = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
NO_CHUNK = CHUNKED + b"zz\r\n"


def answers(text: bytes) -> list[httpx.Response]:
    """Return the answers in ``text``, which all have a Content-Length."""
    found = []
    while text:
        head, _, rest = text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        length = int(dict(headers)["content-length"])
        found.append(httpx.Response(int(first.split()[1]), headers=headers, content=rest[:length]))
        text = rest[length:]
    return found


def kinds(found: list[httpx.Response]) -> list[tuple[int, str | None]]:
    return [(answer.status_code, code(answer)) for answer in found]


def code(answer: httpx.Response) -> str | None:
    """Return the error code in any dialect, or None if the answer is not a refusal."""
    body: dict[str, Any] = answer.json()
    found: str | None = body.get("code") or body.get("error", {}).get("code")
    return found


@pytest.mark.parametrize("fault", [TWO_ENDS, NO_CHUNK], ids=["in the head", "in the body"])
@pytest.mark.parametrize("asked", [GENERATE, CHAT, AWS], ids=["ours", "chat", "aws"])
def test_a_malformed_request_is_refused_like_any_other_and_recorded_once(asked, fault):
    records: list[RequestRecord] = []
    with connected(more={"sinks": (records.append,)}) as raw:
        raw.sendall(asked + ID + fault)
        (answer,) = answers(received(raw))

    assert kinds([answer]) == [(400, "malformed_request")]
    assert {"x-content-type-options", "content-security-policy", "date"} <= answer.headers.keys()
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["connection"] == "close"
    assert [(r.request_id, r.method, r.status, r.code) for r in records] == [
        ("mine", "POST", 400, "malformed_request")
    ]


def test_bytes_that_are_not_http_are_refused_as_such():
    records: list[RequestRecord] = []
    with connected(more={"sinks": (records.append,)}) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00")
        (answer,) = answers(received(raw))

    problem(answer, 400, "malformed_request")
    assert [record.method for record in records] == [""]


def test_a_malformed_request_waits_for_the_answer_before_it():
    with connected() as raw:
        raw.sendall(asking("first") + b"nonsense\r\n\r\n")

        assert kinds(answers(received(raw))) == [(200, None)]


def test_a_request_answered_before_its_malformed_body_is_not_answered_twice():
    with connected() as raw:
        raw.sendall(HEALTH + CHUNKED)
        first = raw.recv(65536)
        raw.sendall(b"zz\r\n")

        assert kinds(answers(first + received(raw))) == [(200, None)]


def asking(prompt: str, *headers: bytes) -> bytes:
    body = json.dumps({"prompt": prompt}).encode()
    length = b"content-length: %d" % len(body)
    head = (
        b"POST /v1/generate HTTP/1.1",
        b"host: localhost",
        b"content-type: application/json",
        length,
    )
    return b"\r\n".join((*head, *headers, b"", body))


def test_pipelined_requests_keep_their_bodies_apart():
    first, second = asking("first " * 30), asking("second", b"connection: close")
    with connected() as raw:
        raw.sendall(first[:-20])
        # The first request is admitted before its body is complete.
        time.sleep(0.3)
        raw.sendall(first[-20:] + second)

        parts = received(raw).split(b"HTTP/1.1 200 OK")[1:]
    assert [b"first first" in part for part in parts] == [True, False]
    assert [b"] second" in part for part in parts] == [False, True]


def test_a_body_larger_than_the_read_buffer_arrives_completely():
    prompt = "word " * 100_000
    with connected() as raw:
        raw.sendall(asking(prompt, b"connection: close"))
        answer = received(raw)

    assert b"[fake 0 image(s)] word" in answer


UPGRADE = (
    b"connection: Upgrade, HTTP2-Settings",
    b"upgrade: h2c",
    b"http2-settings: AAEAAEAAAAIAAAAA",
)


@pytest.mark.parametrize("offer", [UPGRADE, (b"Connection: upgrade", b"Upgrade: websocket")])
@pytest.mark.parametrize("apart", [0, 0.2])
def test_a_request_that_offers_an_upgrade_is_answered_in_http_1_1(offer, apart):
    with connected() as raw:
        request = asking("Why?", *offer)
        cut = request.index(b"\r\n\r\n") + 4
        raw.sendall(request[:cut])
        time.sleep(apart)
        raw.sendall(request[cut:] + asking("And then?", b"connection: close"))

        first, second = answers(received(raw))
    assert "Why?" in first.json()["generation"]
    assert "And then?" in second.json()["generation"]


def test_the_body_of_a_request_that_offers_an_upgrade_is_not_parsed_as_a_request():
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
    length = b"content-length: %d" % len(hidden)
    with connected() as raw:
        raw.sendall(GENERATE + b"\r\n".join((*UPGRADE, length, b"", b"")))
        time.sleep(0.2)
        raw.sendall(hidden + HEALTH + b"connection: close\r\n\r\n")

        assert kinds(answers(received(raw))) == [(400, "malformed_json"), (200, None)]


def test_connect_is_refused():
    with connected() as raw:
        raw.sendall(b"CONNECT there:443 HTTP/1.1\r\nhost: there:443\r\n\r\n")

        assert kinds(answers(received(raw))) == [(400, "malformed_request")]


async def test_a_body_does_not_count_towards_the_next_head():
    protocol, transport = opened(endless)
    protocol.data_received(asking("word " * 30_000) + HEALTH)

    assert not transport.close.called
    await ended(protocol)


def unhurried(url: str) -> socket.socket:
    """Connect as a client that reads little at a time."""
    where = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(20)
    raw.connect((where.hostname, where.port))
    return raw


def test_a_client_that_reads_nothing_is_cut_off_and_the_model_call_ended():
    records: list[RequestRecord] = []
    # All words differ, as a repetitive stream would be ended.
    drawn = random.Random(0)
    prompt = " ".join(drawn.randbytes(4).hex() + "word" * 48 for _ in range(2000))
    body = json.dumps({"prompt": prompt, "stream": True, "max_gen_len": 2000}).encode()
    head = GENERATE + b"content-length: %d\r\n\r\n" % len(body)
    rig = Rig(more={"sinks": (records.append,)})
    with serving(rig.app(), http=Impatient) as url, unhurried(url) as raw:
        raw.sendall(head + body)
        end = time.monotonic() + 20
        while not records and time.monotonic() < end:
            time.sleep(0.02)

        assert [record.code for record in records] == ["client_gone"]
        assert rig.room.in_use == 0


def test_a_closing_connection_does_not_wait_for_an_answer_that_is_not_read():
    with (
        serving(Rig().app(), http=Impatient, timeout_keep_alive=0.1) as url,
        unhurried(url) as raw,
    ):
        # Small enough that the server can write it without waiting.
        raw.sendall(b"GET /v1/tasks HTTP/1.1\r\nhost: localhost\r\n\r\n")
        time.sleep(2)
        head, _, body = received(raw).partition(b"\r\n\r\n")

    assert b"content-length: %d" % len(body) not in head


def test_a_slowly_reading_client_gets_its_whole_answer():
    class Patient(Impatient):
        write_seconds = 1.0

    with serving(Rig().app(), http=Patient) as url, unhurried(url) as raw:
        raw.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        found = b""
        hurries_at = time.monotonic() + 3 * Patient.write_seconds
        while piece := raw.recv(20_000):
            found += piece
            if time.monotonic() < hurries_at:
                time.sleep(0.05)

    (whole,) = answers(found)
    assert whole.json()["openapi"]


def test_all_connections_read_into_one_buffer(monkeypatch):
    taken: list[type] = []
    parsed = BoundedProtocol.data_received

    def noted(protocol: BoundedProtocol, data: bytes | memoryview) -> None:
        taken.append(type(data))
        parsed(protocol, data)

    monkeypatch.setattr(BoundedProtocol, "data_received", noted)
    with connected() as raw:
        raw.sendall(HEALTH + b"connection: close\r\n\r\n")
        assert received(raw)

    assert set(taken) == {memoryview}


TRAILED = GENERATE + CHUNKED + b"1\r\nx\r\n0\r\n"


@pytest.mark.parametrize(
    "drip",
    [b"x: " + b"y" * 990 + b"\r\n", b"y" * 1000, b"1;" + b"y" * 990 + b"\r\nx\r\n"],
    ids=["trailers", "one trailer", "extensions of chunks"],
)
async def test_trailers_and_chunk_extensions_are_bounded_like_heads(drip):
    protocol, _ = opened(endless)
    body = b"" if drip.startswith(b"1;") else b"1\r\nx\r\n0\r\n"
    protocol.data_received(GENERATE + CHUNKED + body)
    pieces = 0
    while not protocol._channel.spoilt and pieces < 1000:
        protocol.data_received(drip)
        pieces += 1

    assert pieces * len(drip) <= protocol.max_head_bytes + 2 * len(drip)
    await ended(protocol)


@pytest.mark.parametrize(("size", "count"), [(1, 10_000), (48, 100_000)])
async def test_small_chunks_form_a_body_like_any_other(size, count):
    protocol, _ = opened(endless)
    protocol.data_received(GENERATE + CHUNKED)
    for _ in range(count // 100):
        protocol.data_received(b"%x\r\n%s\r\n" % (size, b"x" * size) * 100)

    assert not protocol._channel.spoilt
    await ended(protocol)


async def test_a_body_of_the_smallest_chunks_ends_at_the_head_limit():
    protocol, _ = opened(endless)
    protocol.data_received(GENERATE + CHUNKED)
    for _ in range(200):
        protocol.data_received(b"1\r\nx\r\n" * 100)

    assert protocol._channel.spoilt
    await ended(protocol)


@pytest.mark.parametrize(
    ("head", "most"),
    [(b"", SMALL), (GENERATE + CHUNKED, SMALL), (GENERATE + b"content-length: 9\r\n\r\n", 2**18)],
    ids=["head", "chunks", "one piece"],
)
async def test_only_an_unchunked_body_is_read_in_large_pieces(head, most):
    protocol, transport = opened(endless)
    shared = SharedBufferProtocol(protocol.config, ServerState(), {})
    shared.connection_made(transport)
    if head:
        shared._http.data_received(head)

    assert len(shared.get_buffer(-1)) == most
    await ended(shared._http)
    await ended(protocol)


async def test_parsing_many_small_chunks_yields_to_other_connections():
    protocol, _ = opened(endless)
    protocol.data_received(GENERATE + CHUNKED)
    protocol.data_received(b"1\r\nx\r\n" * (CHUNKS + 1))
    assert protocol.flow.read_paused

    await asyncio.sleep(0)
    assert not protocol.flow.read_paused
    await ended(protocol)


def test_trailers_become_headers_of_neither_this_request_nor_the_next():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append([name for name, _ in scope["headers"]])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with serving(app, http=SharedBufferProtocol, lifespan="off") as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as raw:
            raw.sendall(TRAILED + b"authorization: Bearer secret\r\nx-api-key: k\r\n\r\n")
            raw.sendall(HEALTH + b"connection: close\r\n\r\n")
            received(raw)

    assert seen == [[b"host", b"content-type", b"transfer-encoding"], [b"host", b"connection"]]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
        b"GET /healthz HTTP/1.0\r\nhost: localhost\r\nhost: y\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a b\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x/y\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: u@x\r\n",
        b"GET /healthz HTTP/1.1\r\nhost:\r\n",
        b"GET http://there/healthz HTTP/1.1\r\nhost: here\r\n",
        b"GET /healthz HTTP/2.0\r\nhost: localhost\r\n",
        b"GET /healthz HTTP/0.9\r\nhost: localhost\r\n",
        b"GET /healthz\r\n",
    ],
)
def test_a_request_of_another_version_or_without_exactly_one_host_is_refused(head):
    with connected() as raw:
        raw.sendall(head + b"\r\n")

        assert kinds(answers(received(raw))) == [(400, "malformed_request")]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.0\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: [::1]:8000\r\n",
        b"GET http://localhost/healthz HTTP/1.1\r\nhost: localhost\r\n",
    ],
)
def test_a_request_with_a_valid_host_is_answered(head):
    with connected() as raw:
        raw.sendall(head + b"connection: close\r\n\r\n")

        assert received(raw).startswith(b"HTTP/1.1 200 ")


async def test_pipelined_offers_of_an_upgrade_do_not_pile_up():
    protocol, _ = opened(endless)
    offer = b"\r\n".join((HEALTH + b"connection: upgrade", b"upgrade: websocket", b"", b""))
    protocol.data_received(offer * 3000)

    assert len(protocol.pipeline) == WAITING
    await ended(protocol)


class Occupied:
    """A system connection with this file descriptor."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


def test_a_connection_on_one_of_the_last_file_descriptors_is_dropped_and_logged_once():
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = descriptors.Exhaustion()
    with structlog.testing.capture_logs() as logged:
        dropped = [
            told.by(Mock(get_extra_info=lambda _, n=number: Occupied(n)))
            for number in (10, limit - 1, limit - 1, limit - 1)
        ]

    assert dropped == [False, True, True, True]
    assert [line["event"] for line in logged] == ["file descriptors run out"]


async def test_a_dropped_connection_is_closed_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(descriptors, "RESERVE", 10**9)
    config = uvicorn.Config(endless, lifespan="off", log_config=None)
    with socket.socket() as connection:
        transport = Mock(get_extra_info=lambda name: connection if name == "socket" else None)
        protocol = BoundedProtocol(config, ServerState(), {})
        protocol.connection_made(transport)

    assert transport.abort.called
    protocol.connection_lost(None)


def test_an_idle_connection_is_kept_as_long_as_the_setting_says():
    settings = Settings(_env_file=None, keep_alive=90)

    assert Server(Rig().app(), settings).config.timeout_keep_alive == 90
