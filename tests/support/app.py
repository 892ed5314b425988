"""The application on fakes, with the real preparation of pictures."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from app.adapters.bedrock import tokens
from app.domain.ports import Readiness, VisionModel
from app.main import create_app
from app.operations import open_operations
from app.services import pricing
from app.services.deadline import Drain
from app.services.estimate import EstimateService
from app.services.generation import GenerationService
from app.services.idempotency import IdempotentAnswers
from app.services.readiness import AllReady
from app.services.registry import ServedModel, Services
from app.services.sources import ImageSources
from app.services.wrappers.metered import MeteredPreparer, MeteredVisionModel
from app.services.wrappers.rationed import RationedModel
from app.settings import Settings
from app.wiring import image_limits, timing
from tests.support.fakes import FakeReadiness, FakeVisionModel, InlinePreparer
from tests.support.server import serving


@dataclass
class Rig:
    """An application whose upstream is a fake."""

    model: VisionModel = field(default_factory=FakeVisionModel)
    readiness: Readiness = field(default_factory=FakeReadiness)
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of Operations that are to be other ones."""

    def app(self) -> Any:
        return create_app(self.settings, self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        drain, identity = Drain(), settings.identity
        target = settings.targets[0]
        price = pricing.load(settings.prices_file).price(identity)
        sources, counter = ImageSources(settings.max_image_bytes), tokens.counter()
        preparer = MeteredPreparer(InlinePreparer(image_limits(settings)))
        model = MeteredVisionModel(self.model, target.model_id, target.region, price)
        async with open_operations(settings) as operations:
            yield Services(
                model=ServedModel(identity, settings.targets),
                generations=GenerationService(
                    identity,
                    RationedModel(model, operations.limits, counter, price),
                    sources,
                    preparer,
                    drain,
                    IdempotentAnswers(),
                ),
                readiness=AllReady((drain, self.readiness)),
                timing=timing(settings),
                drain=drain,
                estimates=EstimateService(identity, sources, preparer, counter, price),
                operations=replace(operations, **self.more),
            )

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Serve the application on a socket and yield a client of it."""
        with serving(self.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield client
