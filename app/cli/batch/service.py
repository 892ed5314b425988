"""The service of a run: one that is already running, or one of its own."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.cli.batch.client import ServiceUnusableError
from app.settings import PREFIX, load

START_SECONDS = 60.0


@asynccontextmanager
async def running(url: str, key: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the service at ``url``, which may end in OpenAI's /v1."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(
        base_url=url.rstrip("/").removesuffix("/v1"), headers=headers
    ) as client:
        yield client


@asynccontextmanager
async def own() -> AsyncIterator[httpx.AsyncClient]:
    """Start a service with the settings of the environment, and yield a client of it.

    It listens on a free port of the loopback address and needs no key. Raises SettingsError, or
    ServiceUnusableError if the service does not start.
    """
    scheme = load().scheme
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        f"{PREFIX}HOST": "127.0.0.1",
        f"{PREFIX}PORT": str(port),
        f"{PREFIX}AUTH": "disabled",
        f"{PREFIX}WORKERS": "1",
        f"{PREFIX}LOG_LEVEL": "error",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.cli.batch.child"),
        env={**os.environ, **environment},
        # Nothing is written to it: it closes when this process ends, even if it is killed.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        # Ctrl-C goes to this command only, which then stops the service itself.
        start_new_session=True,
    )
    try:
        # The configured certificate need not name this address.
        async with httpx.AsyncClient(
            base_url=f"{scheme}://127.0.0.1:{port}",
            verify=False,  # noqa: S501 - its own child
        ) as client:
            await _ready(client, child)
            yield client
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _ready(client: httpx.AsyncClient, child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while child.returncode is None:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/healthz")).is_success:
                        return
                await asyncio.sleep(0.1)
    raise ServiceUnusableError("the service did not start; python -m app doctor may say why")
