"""Opens the resources of the service: clients, stores, processes and sentinels."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import Protocol

import aioboto3

from app.adapters.aws_session import aws_session
from app.domain.ports import BatchJobs, DataCipher, Retriever, WebhookSender
from app.services.answers.executor import AnswerReader
from app.services.audit.changes import KeyChanges
from app.services.audit.log import AuditLog
from app.services.concurrency.budget import Budget
from app.services.concurrency.fair_threads import FairThreads
from app.services.documents.page_images import Workers
from app.services.evidence.reader import Reader
from app.services.files.source import FileImageSource
from app.services.generation.image_sources import ImageSources
from app.services.generation.multiple_images import SheetMaker
from app.services.guardrails.policies import GuardrailPolicies
from app.services.guardrails.screen import Screen
from app.services.images.pipeline import Decoders
from app.services.images.pixel_digest import PixelDigests
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.services.model_stack.target import TargetGuard
from app.services.receipts.issuer import Receipts
from app.services.registry import Operations
from app.services.residency.sentinel import ResidencySentinel
from app.services.retrieval.stack import KnowledgeBaseGuard
from app.settings import Settings
from app.wiring import batch_jobs
from app.wiring.audit import audited, open_audit_log
from app.wiring.encryption import open_cipher
from app.wiring.evidence import open_reader
from app.wiring.guardrails import open_guardrails
from app.wiring.images import bytes_in_flight, open_pool, open_sources
from app.wiring.lifecycle import open_lifecycle
from app.wiring.model import OpenUpstreams, Upstreams, open_guards, open_upstreams
from app.wiring.receipts import open_receipts
from app.wiring.residency import open_residency
from app.wiring.residency_wrappers import (
    resident,
    resident_jobs,
    resident_retriever,
    resident_sources,
)
from app.wiring.retrieval import OpenRetriever, open_retriever
from app.wiring.retrieval import open_guards as open_knowledge_base_guards
from app.wiring.stores import Stores, open_stores
from app.wiring.telemetry import open_operations
from app.wiring.webhooks import open_webhook_sender

PICTURE_THREADS = 2
"""Number of threads that inspect and digest pictures."""


class PictureWork(Decoders, Workers, SheetMaker, Protocol):
    """Decodes pictures, renders pages of documents and makes contact sheets."""


OpenPool = Callable[[Settings], AbstractAsyncContextManager[PictureWork]]
OpenSources = Callable[
    [aioboto3.Session, Settings, Budget], AbstractAsyncContextManager[ImageSources]
]
OpenWebhooks = Callable[[Settings], AbstractAsyncContextManager[WebhookSender]]


@dataclass(frozen=True, slots=True)
class Edges:
    """Functions that open the service's connections to the outside.

    Tests substitute their own; everything else is then as in production.
    """

    upstreams: OpenUpstreams = open_upstreams
    pool: OpenPool = open_pool
    sources: OpenSources = open_sources
    webhooks: OpenWebhooks = open_webhook_sender
    retriever: OpenRetriever = open_retriever


@dataclass(frozen=True, slots=True)
class Guards:
    """The guards that count and bound the calls of each target, successor and knowledge base."""

    targets: tuple[TargetGuard, ...]
    successors: tuple[TargetGuard, ...]
    knowledge_bases: Mapping[str, KnowledgeBaseGuard]

    @property
    def models(self) -> tuple[TargetGuard, ...]:
        """The guards of targets and successors, in the order in which these are called."""
        return (*self.targets, *self.successors)

    @classmethod
    def new(cls, settings: Settings) -> "Guards":
        """Return the guards of everything that the settings name."""
        return cls(
            open_guards(settings),
            open_guards(settings, settings.successor_targets),
            open_knowledge_base_guards(settings),
        )


@dataclass(frozen=True, slots=True)
class Resources:
    """The parts that are open while the service lives; `app.wiring.services` builds on them."""

    session: aioboto3.Session
    guards: Guards
    room: Budget
    """The memory budget of request bodies and fetched pictures."""
    reader: AnswerReader
    operations: Operations
    residency: ResidencySentinel
    lifecycle: LifecycleSentinel
    upstreams: Upstreams
    pool: PictureWork
    threads: FairThreads
    """Threads that inspect and digest pictures."""
    sources: ImageSources
    cipher: DataCipher
    receipts: Receipts
    audit: AuditLog | None
    stores: Stores
    guardrails: GuardrailPolicies
    screen: Screen | None
    """The guardrail's checks; None if no guardrail is configured."""
    digests: PixelDigests
    webhook_sender: WebhookSender
    batch_jobs: BatchJobs | None
    retriever: Retriever
    evidence: Reader


@asynccontextmanager
async def open_resources(settings: Settings, edges: Edges) -> AsyncIterator[Resources]:
    """Open everything that the settings name, and close it in the opposite order."""
    session, guards, room = aws_session(), Guards.new(settings), bytes_in_flight(settings)
    changes, policies = KeyChanges(), GuardrailPolicies(settings.guardrail_policy)
    async with (
        AnswerReader.open() as reader,
        open_operations(
            settings, guards.models, guards.knowledge_bases, changes, room
        ) as operations,
        open_residency(session, settings, operations.metrics) as residency,
        open_lifecycle(session, settings, operations.metrics) as lifecycle,
        edges.upstreams(session, settings) as upstreams,
        edges.pool(settings) as pool,
        edges.sources(session, settings, room) as sources,
        open_cipher(session, settings) as cipher,
        open_receipts(session, settings) as receipts,
        open_audit_log(session, settings, cipher, receipts, operations.metrics) as audit,
        open_stores(session, settings, cipher, operations.metrics, residency) as stores,
        open_guardrails(
            session, settings, policies, operations, digests := PixelDigests(pool), residency
        ) as screen,
        edges.webhooks(settings) as webhook_sender,
        batch_jobs.open_jobs(session, settings) as native_jobs,
        edges.retriever(session, settings) as retriever,
        open_reader(settings) as evidence,
    ):
        files = FileImageSource(stores.files, settings.max_image_bytes)
        with closing(FairThreads("pictures", PICTURE_THREADS)) as threads:
            yield Resources(
                session=session,
                guards=guards,
                room=room,
                reader=reader,
                operations=audited(operations, audit, changes, residency, lifecycle),
                residency=residency,
                lifecycle=lifecycle,
                upstreams=resident(upstreams, residency),
                pool=pool,
                threads=threads,
                sources=replace(resident_sources(sources, residency), files=files),
                cipher=cipher,
                receipts=receipts,
                audit=audit,
                stores=stores,
                guardrails=policies,
                screen=screen,
                digests=digests,
                webhook_sender=webhook_sender,
                batch_jobs=resident_jobs(native_jobs, settings, residency),
                retriever=resident_retriever(retriever, residency),
                evidence=evidence,
            )
