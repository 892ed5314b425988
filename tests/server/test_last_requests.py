"""Requests that reach a stopping server are answered, with Connection: close."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.domain.generation import ModelRequest, StreamParts
from app.server import listener
from app.server.serving import Server
from app.settings import Settings
from tests.support.fakes.ports import FakeVisionModel
from tests.support.service.application import Rig

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = b'{"prompt": "Why?", "stream": true}'


class PausingVisionModel(FakeVisionModel):
    """Ends its streams when released."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async with super().stream(request) as whole:

            async def paused() -> AsyncIterator[StreamParts]:
                yield await anext(whole)
                await self.go.wait()
                async for parts in whole:
                    yield parts

            yield paused()


@asynccontextmanager
async def going(model: FakeVisionModel, idle: float) -> AsyncIterator[Server]:
    """Run the server in this event loop, where a test starts its shutdown."""
    settings = Settings(_env_file=None, port=0, usage_store="memory", shutdown_idle=idle)
    server = Server(Rig(model).app(), settings)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    yield server


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(*server.listeners[0].getsockname())
    async with asyncio.timeout(60):
        yield reader, writer
    writer.close()


async def test_after_a_kept_alive_stream_one_more_request_is_served_during_shutdown(
    collector_settings,
):
    """The stream's head had promised the balancer keep-alive."""
    model = PausingVisionModel()
    async with going(model, idle=60) as server, connected(server) as (reader, writer):
        writer.write(b"POST /v1/generate HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(STREAM))
        writer.write(STREAM)
        head = await reader.readuntil(b"\r\n\r\n")
        for connection in server.server_state.connections:
            connection.shutdown()
        model.go.set()
        await reader.readuntil(b"event: done")
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(HEALTH)
        last = await reader.read()
        await server.shutdown()

    assert b"connection: close" not in head
    assert last.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in last


async def test_a_connection_without_a_further_request_is_closed_at_shutdown(collector_settings):
    async with (
        going(FakeVisionModel(), idle=0.2) as server,
        connected(server) as (unused, _),
        connected(server) as (used, writer),
    ):
        writer.write(HEALTH)
        answer = await used.readuntil(b"}")
        await server.shutdown()

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await unused.read() == await used.read() == b""


async def test_a_request_head_already_begun_is_waited_for_at_shutdown(collector_settings):
    async with (
        going(FakeVisionModel(), idle=0.2) as server,
        connected(server) as (unused, _),
        connected(server) as (begun, writer),
    ):
        writer.write(HEALTH + HEALTH[:20])
        await begun.readuntil(b"}")
        end = asyncio.create_task(server.shutdown())
        await unused.read()
        writer.write(HEALTH[20:])
        last = await begun.read()
        await end

    assert last.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in last


@pytest.mark.skipif(not hasattr(socket, "SO_BINDTODEVICE"), reason="only Linux can do this")
def test_no_new_connection_is_accepted_after_the_listener_refuses():
    """Connections made before are still accepted, and later ones are not reset."""
    with listener.bound("127.0.0.1", 0) as listening:
        listening.listen()
        address = listening.getsockname()
        with socket.create_connection(address, timeout=60):
            listener.refuse_new(listening)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)

            listening.accept()[0].close()
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()
