"""The application as production wires it, with a fake model and decoding in this process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import aioboto3
import httpx
import pytest

from app.adapters.sources.addresses import AddressPolicy
from app.domain.ports import Readiness, Retriever, WebhookSender
from app.main import create_app
from app.services.concurrency.budget import Budget
from app.services.evidence.reader import PooledReader, Reader
from app.services.evidence.words import Word
from app.services.generation.image_sources import ImageSources
from app.services.model_stack.retry import Backoff, Retries
from app.services.readiness import AllReady
from app.services.registry import Services
from app.settings import Settings
from app.wiring import evidence
from app.wiring.images import image_limits
from app.wiring.images import open_sources as open_real_sources
from app.wiring.model import Upstreams, open_upstreams
from app.wiring.resources import Edges
from app.wiring.retrieval import open_retriever
from app.wiring.services import open_services
from app.wiring.webhooks import open_webhook_sender
from tests.support.fakes.ports import FakeReadiness, FakeVisionModel, InlinePreparer
from tests.support.servers.uvicorn import serving

NO_RETRIES = Retries(rules={})
AT_ONCE = Retries(backoff=Backoff(0.001, 0.01, 0.001))


@dataclass
class Rig:
    """An application whose upstream is a fake."""

    model: Any = field(default_factory=FakeVisionModel)
    """The upstream, one of the fakes; None for the one that the settings configure."""
    readiness: Readiness = field(default_factory=FakeReadiness)
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))

    more: dict[str, Any] = field(default_factory=dict)
    """Fields of Operations to replace."""
    sources: ImageSources | None = None
    """Replaces the sources that the settings configure."""
    retriever: Retriever | None = None
    """Replaces Bedrock's knowledge bases."""

    webhooks: WebhookSender | None = None
    """Instead of the one that the settings give."""

    reader: Reader | None = None
    """Instead of the OCR engine that the settings give."""

    retries: Retries = AT_ONCE
    """Production's retry rules, without their waits."""

    room: Budget = field(init=False)
    """The budget of bytes in flight of the application opened last."""

    def app(self) -> Any:
        return create_app(self.settings, self._open)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Services]:
        async with open_services(
            settings,
            Edges(
                upstreams=self._open_upstreams,
                pool=lambda settings: nullcontext(InlinePreparer(image_limits(settings))),
                sources=self._open_sources,
                webhooks=self._open_webhooks,
                retriever=self._open_retriever,
            ),
            retries=self.retries,
        ) as services:
            self.room = services.room
            tasks = services.tasks
            yield replace(
                services,
                tasks=replace(tasks, reader=self.reader) if self.reader else tasks,
                readiness=AllReady((services.drain, self.readiness)),
                operations=replace(services.operations, **self.more),
            )

    def _open_upstreams(
        self, session: aioboto3.Session, settings: Settings
    ) -> AbstractAsyncContextManager[Upstreams]:
        model = self.model
        return nullcontext(lambda _: model) if model else open_upstreams(session, settings)

    def _open_retriever(
        self, session: aioboto3.Session, settings: Settings
    ) -> AbstractAsyncContextManager[Retriever]:
        retriever = self.retriever
        return nullcontext(retriever) if retriever else open_retriever(session, settings)

    def _open_sources(
        self, session: aioboto3.Session, settings: Settings, room: Budget
    ) -> AbstractAsyncContextManager[ImageSources]:
        if self.sources is not None:
            return nullcontext(self.sources)
        return open_real_sources(session, settings, room)

    def _open_webhooks(self, settings: Settings) -> AbstractAsyncContextManager[WebhookSender]:
        # The tests' receivers are on the loopback.
        near = AddressPolicy(exempt=("127.0.0.0/8",))
        return nullcontext(self.webhooks) if self.webhooks else open_webhook_sender(settings, near)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Serve the application on a socket and yield a client of it."""
        with serving(self.app()) as url, httpx.Client(base_url=url, timeout=100) as client:
            yield client


def small(**limits: Any) -> Rig:
    return Rig(settings=Settings(_env_file=None, **limits))


class OnceReader(PooledReader):
    """Reads each picture once per test process, as a reading takes a second of CPU."""

    _READ: ClassVar[dict[bytes, tuple[Word, ...] | None]] = {}

    async def read(self, picture: bytes) -> tuple[Word, ...] | None:
        if picture not in self._READ:
            self._READ[picture] = await super().read(picture)
        return self._READ[picture]


@contextmanager
def reading(model: FakeVisionModel) -> Iterator[httpx.Client]:
    """Serve ``model`` with the OCR engine, whose first page takes long."""
    settings = Settings(_env_file=None, usage_store="memory", evidence_engine="rapidocr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "PooledReader", OnceReader)
        with Rig(model, settings=settings).client() as client:
            client.timeout = httpx.Timeout(120)
            yield client
