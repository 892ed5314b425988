"""The contract of every Sender: our own connections, and aiohttp's behind a proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from app.adapters.bedrock import runtime
from app.adapters.bedrock.errors import translated
from app.adapters.bedrock.identity.credentials import Connection
from app.adapters.http1 import connection, pool, proxy
from app.adapters.http1.sender import Limits, Sender
from app.domain.errors import (
    UpstreamDisconnectedError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from tests.support.servers.certificates import certify
from tests.support.servers.scripted import (
    CHUNKED,
    LAST_CHUNK,
    Peer,
    Upstream,
    answer,
    chunk,
    upstream,
)

OpenSender = Callable[..., AbstractAsyncContextManager[Sender]]
BOTH = pytest.mark.parametrize("way", ["direct", "proxied"], indirect=True)
DIRECT = pytest.mark.parametrize("way", ["direct"], indirect=True)
# Timeouts: SOON where nothing will come, LONG where a slow machine must deliver something.
SOON, LONG = 0.3, 30.0


@pytest.fixture
def way(request, monkeypatch) -> OpenSender:
    """Return a function that opens a sender whose calls arrive at a port of 127.0.0.1."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    @asynccontextmanager
    async def opened(port: int, *, most: int = 4, patience: float = LONG) -> AsyncIterator[Sender]:
        url = f"http://127.0.0.1:{port}"
        if request.param == "proxied":
            # The test's server is the proxy; nothing exists behind it.
            monkeypatch.setenv("http_proxy", url)
            url = "http://bedrock.test"
        bedrock = Connection("us-east-1", limits=Limits(patience, patience, most))
        async with runtime.open_connections(bedrock, url) as sender:
            yield sender

    return opened


async def post(sender: Sender, *body: bytes) -> bytes:
    with translated():
        async with sender.post("/model/x/invoke", {"Host": "bedrock.test"}, body) as found:
            return await found.read()


async def echo(peer: Peer) -> None:
    while True:
        _, body = await peer.request()
        await peer.say(answer(body))


async def settled(done: Callable[[], bool]) -> None:
    """Wait until ``done`` returns true, without acting on the sender."""
    async with asyncio.timeout(LONG):
        while not done():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.01)


@BOTH
async def test_status_headers_and_body_are_returned(way):
    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        told = head.split(b"\r\n")
        assert told[0].endswith(b"/model/x/invoke HTTP/1.1")
        assert b"X-Mine: yes" in told
        await peer.say(answer(b'{"message":"no"}', "X-Amzn-ErrorType: Denied", status=403))

    async with (
        upstream(script) as served,
        way(served.port) as sender,
        sender.post("/model/x/invoke", {"X-Mine": "yes"}, (b"{}",)) as found,
    ):
        assert found.status == 403
        assert found.headers["x-amzn-errortype"] == "Denied"
        assert await found.read() == b'{"message":"no"}'


@BOTH
async def test_a_get_request_has_no_body(way):
    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].startswith(b"GET ")
        assert b"content-length" not in head.lower()
        await peer.say(answer(b'{"status":"Completed"}'))

    async with (
        upstream(script) as served,
        way(served.port) as sender,
        sender.get("/model-invocation-job/x", {"Host": "bedrock.test"}) as found,
    ):
        assert await found.read() == b'{"status":"Completed"}'


@BOTH
async def test_a_connection_is_reused(way):
    async with upstream(echo) as served, way(served.port) as sender:
        answers = [await post(sender, b'{"n":%d}' % n) for n in range(5)]

    assert answers == [b'{"n":%d}' % n for n in range(5)]
    assert len(served.peers) == 1


@BOTH
@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_bodies_of_any_size_arrive_unchanged(way, size):
    body = bytes(range(256)) * (size // 256)
    async with upstream(echo) as served, way(served.port) as sender:
        assert await post(sender, b"[", body, b"]") == b"[" + body + b"]"
        assert await post(sender, b"small") == b"small"


@BOTH
async def test_concurrent_calls_use_separate_connections_up_to_the_limit(way):
    waiting: list[Peer] = []
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            waiting.append(peer)
            await go.wait()
            await peer.say(answer(body))

    async with upstream(script) as served, way(served.port, most=2) as sender:
        asked = [asyncio.create_task(post(sender, b"%d" % n)) for n in range(5)]
        await settled(lambda: len(waiting) == 2)
        await asyncio.sleep(0.05)
        assert len(waiting) == 2
        go.set()
        assert sorted(await asyncio.gather(*asked)) == [b"%d" % n for n in range(5)]

    assert len(served.peers) == 2


@BOTH
async def test_connection_close_is_honoured(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b"bye", "Connection: close"))
        # The server announces it but does not close: the client must not rely on it.
        await peer.left()

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender) == b"bye"
        assert await post(sender) == b"bye"

    assert len(served.peers) == 2


@BOTH
@pytest.mark.parametrize("status", [403, 413, 503])
@pytest.mark.parametrize("size", [500_000, 32_000_000])
async def test_a_connection_answered_before_its_body_was_read_is_not_reused(way, status, size):
    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(answer(b"no", status=status))
        if b"Content-Length: 3\r\n" not in head:
            # The server stops reading but keeps the connection open.
            await asyncio.sleep(LONG)

    async with upstream(script) as served, way(served.port) as sender:
        async with sender.post("/", {}, (bytes(size),)) as found:
            assert found.status == status
            assert await found.read() == b"no"
        assert await post(sender, b"one") == b"no"

    assert len(served.peers) == 2


@BOTH
async def test_a_redirect_is_returned_and_not_followed(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        port = peer.writer.get_extra_info("sockname")[1]
        await peer.say(answer(b"", f"Location: http://127.0.0.1:{port}/other", status=307))

    async with (
        upstream(script) as served,
        way(served.port) as sender,
        sender.post("/", {"Authorization": "secret"}, (b"prompt",)) as found,
    ):
        assert found.status == 307

    assert len(served.peers) == 1


@BOTH
async def test_an_endless_answer_is_aborted_before_it_fills_memory(way, monkeypatch):
    for module in (connection, proxy):
        monkeypatch.setattr(module, "MAX_ANSWER", 2**20)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        while True:
            await peer.say(chunk(bytes(2**16)))

    async with upstream(script) as served, way(served.port) as sender:
        with pytest.raises(UpstreamDisconnectedError):
            await post(sender)


@BOTH
async def test_a_connection_closed_by_the_server_is_not_reused(way):
    async def script(peer: Peer) -> None:
        _, body = await peer.request()
        await peer.say(answer(body))

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender, b"1") == b"1"
        await settled(lambda: served.peers[0].writer.is_closing())
        await asyncio.sleep(0.05)
        assert await post(sender, b"2") == b"2"

    assert len(served.peers) == 2


@BOTH
async def test_a_reused_connection_that_closes_on_a_request_is_an_error_without_a_retry(way):
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        bodies.append((await peer.request())[1])
        await peer.say(answer(b"yes"))
        bodies.append((await peer.request())[1])

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender, b"1") == b"yes"
        with pytest.raises(UpstreamDisconnectedError):
            await post(sender, b"2")

    assert bodies == [b"1", b"2"]
    assert len(served.peers) == 1


@BOTH
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        CHUNKED + chunk(b"a piece"),
        b"220 smtp.test ESMTP\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "no last chunk", "not HTTP"],
)
async def test_a_truncated_answer_is_a_broken_connection(way, said):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)

    async with upstream(script) as served, way(served.port) as sender:
        with pytest.raises(UpstreamDisconnectedError):
            await post(sender)


@BOTH
async def test_informational_responses_are_skipped(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n")
        await asyncio.sleep(0.01)
        await peer.say(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"yes"))

    async with (
        upstream(script) as served,
        way(served.port) as sender,
        sender.post("/", {}, ()) as found,
    ):
        assert found.status == 200
        assert "x-early" not in found.headers
        assert await found.read() == b"yes"


@BOTH
async def test_an_answer_without_a_length_ends_with_its_connection(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nto the ")
        await asyncio.sleep(0.01)
        await peer.say(b"end")

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender) == b"to the end"
        assert await post(sender) == b"to the end"

    assert len(served.peers) == 2


@BOTH
async def test_pieces_are_delivered_as_they_arrive(way):
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(b"first"))
        await go.wait()
        await peer.say(chunk(b"second") + LAST_CHUNK)

    async with (
        upstream(script) as served,
        way(served.port) as sender,
        sender.post("/", {}, ()) as found,
    ):
        assert await found.readany() == b"first"
        go.set()
        assert await found.readany() == b"second"
        assert await found.readany() == b""


@BOTH
async def test_a_slow_reader_pauses_the_sender_and_is_not_a_timeout(way):
    sent = 0
    piece = bytes(2**20)

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.say(CHUNKED)
        for _ in range(64):
            await peer.say(chunk(piece))
            sent += len(piece)
        await peer.say(LAST_CHUNK)

    async with (
        upstream(script) as served,
        way(served.port, patience=SOON) as sender,
        sender.post("/", {}, ()) as found,
    ):
        received = len(await found.readany())
        await asyncio.sleep(SOON * 2)
        # No more than the two sockets' buffers, and a little.
        assert sent < 32 * len(piece)
        while some := await found.readany():
            received += len(some)

    assert received == 64 * len(piece)


@BOTH
@pytest.mark.parametrize("said", [b"", CHUNKED + chunk(b"a piece")], ids=["nothing", "a piece"])
async def test_silence_is_a_timeout(way, said):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)
        await peer.left()

    async with upstream(script) as served, way(served.port, patience=SOON) as sender:
        with pytest.raises(UpstreamTimeoutError):
            await post(sender)


@BOTH
async def test_a_slow_answer_is_no_timeout_while_bytes_arrive(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED)
        for _ in range(8):
            await asyncio.sleep(SOON / 4)
            await peer.say(chunk(b"."))
        await peer.say(LAST_CHUNK)

    async with upstream(script) as served, way(served.port, patience=SOON) as sender:
        assert await post(sender) == b"." * 8


@BOTH
async def test_a_closed_port_is_unreachable(way):
    async with upstream(echo) as served:
        pass
    async with way(served.port) as sender:
        with pytest.raises(UpstreamUnreachableError):
            await post(sender)


@BOTH
@pytest.mark.parametrize("said", [b"", CHUNKED + chunk(b"a piece")], ids=["before", "in"])
async def test_cancelling_closes_the_connection(way, said):
    asked, over = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(said)
        asked.set()
        await peer.left()
        over.set()

    async with upstream(script) as served, way(served.port) as sender:
        call = asyncio.create_task(post(sender))
        async with asyncio.timeout(LONG):
            await asked.wait()
            await asyncio.sleep(0.02)
            call.cancel()
            await over.wait()
        assert await asyncio.wait((call,)) == ({call}, set())
        assert call.cancelled()


@BOTH
async def test_leaving_early_closes_the_connection(way):
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(b"a piece"))
        await peer.left()
        over.set()

    async with upstream(script) as served, way(served.port) as sender:
        async with sender.post("/", {}, ()) as found:
            assert await found.readany() == b"a piece"
        async with asyncio.timeout(LONG):
            await over.wait()


@BOTH
async def test_a_line_break_in_a_header_is_refused(way):
    async with upstream(echo) as served, way(served.port) as sender:
        with pytest.raises(ValueError, match="header"):
            await sender.post("/", {"Authorization": "Bearer x\r\nEvil: 1"}, ()).__aenter__()


@DIRECT
async def test_a_connection_with_bytes_after_the_answer_is_not_reused(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b"yes") + answer(b"unasked"))
        await peer.left()

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender) == b"yes"
        assert await post(sender) == b"yes"

    assert len(served.peers) == 2


@DIRECT
async def test_a_connection_that_sends_while_idle_is_not_reused(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b"yes"))
        await asyncio.sleep(0.01)
        await peer.say(answer(b"unasked"))
        await peer.left()

    async with upstream(script) as served, way(served.port) as sender:
        assert await post(sender) == b"yes"
        await settled(lambda: served.peers[0].reader.at_eof())
        assert await post(sender) == b"yes"

    assert len(served.peers) == 2


@DIRECT
async def test_an_overlong_response_head_is_a_broken_connection(way):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer(b"yes", *["X-More: " + "x" * 1000] * 100))

    async with upstream(script) as served, way(served.port) as sender:
        with pytest.raises(UpstreamDisconnectedError):
            await post(sender)


@DIRECT
async def test_idle_connections_are_closed_after_a_timeout(way, monkeypatch):
    monkeypatch.setattr(pool, "KEEP_ALIVE", 0.05)

    def closed(served: Upstream) -> list[bool]:
        return [peer.reader.at_eof() for peer in served.peers]

    async with upstream(echo) as served, way(served.port) as sender:
        await asyncio.gather(post(sender), post(sender))
        await settled(lambda: closed(served) == [True, True])
        await post(sender)
        await settled(lambda: closed(served) == [True, True, True])


@DIRECT
async def test_a_server_that_stops_reading_is_a_timeout(way):
    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's stub
        await asyncio.sleep(LONG)

    async with upstream(script) as served, way(served.port, patience=SOON) as sender:
        with pytest.raises(UpstreamTimeoutError):
            await post(sender, bytes(2**26))


async def test_over_tls_too_a_connection_with_an_unread_body_is_not_reused(certificate):
    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(answer(b"no"))
        if b"Content-Length: 3\r\n" not in head:
            await asyncio.sleep(LONG)

    async with upstream(script, certificate) as served, secure("localhost", served.port) as sender:
        assert await post(sender, bytes(32_000_000)) == b"no"
        assert await post(sender, b"one") == b"no"

    assert len(served.peers) == 2


async def silent(peer: Peer) -> None:
    await peer.left()


@pytest.fixture
def certificate(tmp_path, monkeypatch) -> ssl.SSLContext:
    """Return a server context for localhost whose certificate is trusted."""
    made = certify("localhost", tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(made.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return context


def secure(host: str, port: int) -> AbstractAsyncContextManager[Sender]:
    bedrock = Connection("us-east-1", limits=Limits(5, 5))
    return runtime.open_connections(bedrock, f"https://{host}:{port}")


async def test_a_trusted_certificate_is_accepted(certificate):
    body = bytes(range(256)) * 2000
    async with upstream(echo, certificate) as served, secure("localhost", served.port) as sender:
        assert await post(sender, b"[", body, b"]") == b"[" + body + b"]"
        assert await post(sender, b"again") == b"again"

    assert len(served.peers) == 1


async def test_a_certificate_of_another_host_is_refused(certificate):
    async with upstream(echo, certificate) as served, secure("127.0.0.1", served.port) as sender:
        with pytest.raises(UpstreamUnreachableError):
            await post(sender)


async def test_a_certificate_that_is_not_trusted_is_refused(certificate, monkeypatch):
    monkeypatch.delenv("AWS_CA_BUNDLE")
    async with upstream(echo, certificate) as served, secure("localhost", served.port) as sender:
        with pytest.raises(UpstreamUnreachableError):
            await post(sender)


async def test_a_tls_handshake_that_never_completes_is_unreachable():
    async with upstream(silent) as served:
        bedrock = Connection("us-east-1", limits=Limits(connect_timeout=SOON))
        async with runtime.open_connections(bedrock, f"https://127.0.0.1:{served.port}") as sender:
            with pytest.raises(UpstreamError) as caught:
                await post(sender)

    assert type(caught.value) is UpstreamUnreachableError
