"""How the service listens, and how it goes down without losing a request."""

import asyncio
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.api.protocol import BoundedProtocol
from app.services.registry import Services
from app.settings import Settings


class Server(uvicorn.Server):
    """Drains on the first signal: readiness fails, running calls finish, then it ends with 0.

    uvicorn alone stops listening at once, and raises the signal again when it has ended.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.settings = settings
        self.draining: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                loop="uvloop",
                http=BoundedProtocol,
                # Past the grace time the streams have ended themselves; this is for the rest.
                timeout_graceful_shutdown=round(settings.shutdown_grace) + 5,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends at once."""
        if self.draining is not None or not self.started:
            super().handle_exit(sig, frame)
            return
        self.draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        services: Services = self.lifespan.state["services"]
        services.drain.begin()
        await asyncio.sleep(self.settings.shutdown_delay)
        self.should_exit = True
        await asyncio.sleep(self.settings.shutdown_grace)
        services.drain.close()
