"""The caller of the soak tests, over a real socket."""

from contextlib import closing

from bench.soak.load import Caller, get
from tests.support.servers.scripted import Peer, answer, upstream


async def test_a_connection_that_the_service_announced_it_will_close_is_not_reused():
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(answer(b"", "Connection: close", status=503))
        # Slow to close: the next request would be accepted and never answered.
        await peer.left()

    async with upstream(script) as service:
        with closing(Caller(f"http://127.0.0.1:{service.port}")) as caller:
            replies = [await caller.ask(get("/")) for _ in range(2)]

    assert [reply.status for reply in replies] == [503, 503]
    assert len(service.peers) == 2
