"""A real uvicorn on a loopback socket, in a thread of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn

from app.api.routing.application import Application
from app.server.protocol import SharedBufferProtocol


class PromptServer(uvicorn.Server):
    """Ends at once when it is stopped and nobody is connected.

    uvicorn looks ten times a second whether it is to end, and then waits a tenth in any case.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Ask it to exit, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has exited by itself
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        waiting = {
            asyncio.create_task(super().main_loop()),
            asyncio.create_task(self._told.wait()),
        }
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in (*self.servers, *(sockets or ())):
            each.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn changes these sets
                    await asyncio.sleep(0.002)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Serve ``app`` on a free port as production does, and yield its base URL."""
    # No further request comes once a test is over.
    prompt = partial(SharedBufferProtocol, last_seconds=0)
    http = prompt if isinstance(app, Application) else "httptools"
    options = {"http": http, "log_config": None, "access_log": False, **options}
    server = PromptServer(uvicorn.Config(app, host="127.0.0.1", port=0, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.end()
        thread.join(timeout=30)
        assert not thread.is_alive(), "the server did not stop"
