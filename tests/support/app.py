"""The application on fakes, with the real preparation of pictures."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aioboto3
import httpx

from app.domain.ports import Readiness, VisionModel
from app.main import create_app
from app.services.admission import Budget
from app.services.deadline import Drain
from app.services.generation import GenerationService
from app.services.idempotency import IdempotentAnswers
from app.services.preparation import PreparationService
from app.services.readiness import AllReady
from app.services.registry import ServedModel, Services
from app.services.sources import ImageSources
from app.settings import Settings
from app.wiring import bytes_in_flight, image_limits, open_sources, timing
from tests.support.fakes import FakeReadiness, FakeVisionModel, InlinePreparer
from tests.support.server import serving


@dataclass
class Rig:
    """An application whose upstream is a fake."""

    model: VisionModel = field(default_factory=FakeVisionModel)
    readiness: Readiness = field(default_factory=FakeReadiness)
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))

    sources: ImageSources | None = None
    """Instead of those that the settings give."""

    room: Budget = field(init=False)
    """Bytes in flight, of the application opened last."""

    def app(self) -> Any:
        return create_app(self.settings, self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        drain = Drain()
        self.room = bytes_in_flight(settings)
        async with open_sources(aioboto3.Session(), settings, self.room) as opened:
            sources = self.sources or opened
            preparer = InlinePreparer(image_limits(settings))
            yield Services(
                model=ServedModel(settings.identity, settings.targets),
                generations=GenerationService(
                    settings.identity,
                    self.model,
                    sources,
                    preparer,
                    drain,
                    IdempotentAnswers(),
                    preparer,
                ),
                preparations=PreparationService(sources, preparer),
                readiness=AllReady((drain, self.readiness)),
                timing=timing(settings),
                drain=drain,
                room=self.room,
            )

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Serve the application on a socket and yield a client of it."""
        with serving(self.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield client
