"""A real uvicorn on a loopback socket, in a thread of its own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.api.routing.application import Application
from app.server.protocol import SharedBufferProtocol


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Serve ``app`` on a free port, the service as it is served, and yield its base URL."""
    http = SharedBufferProtocol if isinstance(app, Application) else "httptools"
    options = {"http": http, "log_config": None, "access_log": False, **options}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, **options)
    server = uvicorn.Server(config)
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
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), "the server did not stop"
