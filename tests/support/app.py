"""The application on fakes, with the real preparation of pictures."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.domain.ports import Readiness, VisionModel
from app.main import create_app
from app.services.generation import GenerationService
from app.services.registry import ServedModel, Services
from app.services.sources import ImageSources
from app.settings import Settings
from app.wiring import image_limits, open_authenticator, timing
from tests.support.fakes import FakeReadiness, FakeVisionModel, InlinePreparer
from tests.support.server import serving


@dataclass
class Rig:
    """An application whose upstream is a fake."""

    model: VisionModel = field(default_factory=FakeVisionModel)
    readiness: Readiness = field(default_factory=FakeReadiness)
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of Services."""

    def app(self) -> Any:
        return create_app(self.settings, self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        async with open_authenticator(settings) as authenticator:
            yield Services(
                model=ServedModel(settings.identity, settings.region, settings.dialect),
                generations=GenerationService(
                    settings.identity,
                    self.model,
                    ImageSources(settings.max_image_bytes),
                    InlinePreparer(image_limits(settings)),
                ),
                readiness=self.readiness,
                timing=timing(settings),
                **{"authenticator": authenticator, **self.more},
            )

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Serve the application on a socket and yield a client of it."""
        with serving(self.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield client
