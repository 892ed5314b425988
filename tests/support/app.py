"""The application on fakes, with the real preparation of pictures."""

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from typing import Any

import aioboto3
import httpx

from app.adapters.bedrock import token_counter
from app.domain.ports import Readiness, VisionModel
from app.main import create_app
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.documents.page_images import Documents
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.image_sources import ImageSources
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.model_stack.failover import FailoverModel
from app.services.model_stack.metering import MeteredPreparer, MeteredVisionModel
from app.services.model_stack.quota import RationedModel
from app.services.model_stack.stop_sequences import StoppedModel
from app.services.readiness import AllReady
from app.services.registry import Operations, ServedModel, Services
from app.services.task_runner.service import TaskService
from app.services.usage import pricing
from app.settings import Settings
from app.wiring.operations import open_operations
from app.wiring.services import (
    bytes_in_flight,
    image_limits,
    open_gates,
    open_model,
    open_sources,
    timing,
)
from tests.support.fakes import FakeReadiness, FakeVisionModel, InlinePreparer
from tests.support.server import serving


@dataclass
class Rig:
    """An application whose upstream is a fake."""

    model: VisionModel | None = field(default_factory=FakeVisionModel)
    """The upstream; None for what the settings say."""
    readiness: Readiness = field(default_factory=FakeReadiness)
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))

    more: dict[str, Any] = field(default_factory=dict)
    """Fields of Operations that are to be other ones."""
    sources: ImageSources | None = None
    """Instead of those that the settings give."""

    room: Budget = field(init=False)
    """Bytes in flight, of the application opened last."""

    def app(self) -> Any:
        return create_app(self.settings, self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        session = aioboto3.Session()
        self.room = bytes_in_flight(settings)
        self.gates = open_gates(settings)
        async with (
            open_operations(settings, self.gates) as operations,
            open_sources(session, settings, self.room) as sources,
            self._metered(settings)
            if self.model
            else open_model(session, settings, self.gates) as model,
        ):
            operations = replace(operations, **self.more)
            yield self._services(settings, self.sources or sources, model, operations)

    def _metered(self, settings: Settings) -> AbstractAsyncContextManager[VisionModel]:
        assert self.model is not None
        price = pricing.load(settings.prices_file).price(settings.identity)
        targets = [
            (target, MeteredVisionModel(self.model, target, price)) for target in settings.targets
        ]
        return nullcontext(StoppedModel(FailoverModel(targets)))

    def _services(
        self, settings: Settings, sources: ImageSources, model: VisionModel, operations: Operations
    ) -> Services:
        drain, identity, counter = Drain(), settings.identity, token_counter.counter()
        limits = image_limits(settings)
        inline = InlinePreparer(limits)
        preparer = MeteredPreparer(inline)
        price = pricing.load(settings.prices_file).price(identity)
        rationed = RationedModel(model, operations.limits, counter, price)
        generations = GenerationService(
            identity,
            rationed,
            sources,
            preparer,
            drain,
            IdempotentAnswers(drain, settings.request_timeout),
            inline,
        )
        return Services(
            model=ServedModel(identity, settings.targets, settings.model_aliases),
            gates=self.gates,
            generations=generations,
            tasks=TaskService(generations, Documents(sources, inline, limits)),
            structured=StructuredService(generations),
            preparations=PreparationService(sources, preparer, drain),
            readiness=AllReady((drain, self.readiness)),
            timing=timing(settings),
            drain=drain,
            room=self.room,
            estimates=EstimateService(identity, generations, counter, price, drain),
            operations=operations,
        )

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Serve the application on a socket and yield a client of it."""
        with serving(self.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
            yield client
