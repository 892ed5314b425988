"""The composition root: opens what the service needs for its life, and builds Services."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import Protocol

import aioboto3

from app.adapters.aws_session import aws_session
from app.adapters.bedrock import token_counter
from app.adapters.bedrock.identity.credentials import CredentialsCheck
from app.domain.ports import VisionModel, WebhookSender
from app.services.answers.enforcement import Enforcement
from app.services.answers.executor import AnswerReader
from app.services.answers.repair import FormAsker
from app.services.audit.changes import KeyChanges
from app.services.batches.service import BatchService
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.concurrency.fair_threads import FairThreads
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.documents.page_images import Documents, Workers
from app.services.erasure.service import ErasureService
from app.services.files.source import FileImageSource
from app.services.files.uploads import UploadService
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.image_sources import ImageSources
from app.services.generation.multiple_images import SheetMaker
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.guardrails.policies import GuardrailPolicies
from app.services.images.pipeline import Decoders
from app.services.images.pixel_digest import PixelDigests
from app.services.jobs.service import Jobs
from app.services.model_stack import retry
from app.services.model_stack.keep_warm import KeepWarm, kept_warm
from app.services.model_stack.prompt_length import BoundedPromptModel
from app.services.model_stack.quota import QuotaModel
from app.services.model_stack.retry import Retries
from app.services.model_stack.target import TargetGuard
from app.services.readiness import AllReady, CredentialsTaken
from app.services.registry import ServedModel, Services, Timing
from app.services.residency.sentinel import ResidencyReadiness
from app.services.task_runner.service import TaskService
from app.services.work.worker import Worker
from app.settings import Settings
from app.wiring import batch_jobs
from app.wiring.access import open_limits_check
from app.wiring.audit import audited, open_audit_log
from app.wiring.cache import open_answers, with_cache
from app.wiring.encryption import open_cipher
from app.wiring.erasure import erasure_holders
from app.wiring.events import open_events
from app.wiring.evidence import open_reader
from app.wiring.guardrails import open_guardrails
from app.wiring.images import bytes_in_flight, image_limits, image_pipeline, open_pool, open_sources
from app.wiring.lifecycle import open_lifecycle, watched
from app.wiring.model import OpenUpstreams, model_stack, open_guards, open_upstreams
from app.wiring.preflight import announce
from app.wiring.receipts import (
    open_receipts,
    proves,
    verdicts,
    witness,
    witnessed_pictures,
)
from app.wiring.residency import open_residency, resident, resident_sources
from app.wiring.retrieval import OpenRetriever, open_retriever, rag_service
from app.wiring.retrieval import open_guards as open_knowledge_base_guards
from app.wiring.telemetry import open_operations
from app.wiring.units import units_lookup
from app.wiring.webhooks import open_webhook_sender, webhooks
from app.wiring.work import open_files, open_queue

PICTURE_THREADS = 2
"""Pictures that are inspected or digested at a time."""


class PictureWork(Decoders, Workers, SheetMaker, Protocol):
    """Decodes pictures, draws pages of documents and contact sheets."""


OpenPool = Callable[[Settings], AbstractAsyncContextManager[PictureWork]]
OpenSources = Callable[
    [aioboto3.Session, Settings, Budget], AbstractAsyncContextManager[ImageSources]
]
OpenWebhooks = Callable[[Settings], AbstractAsyncContextManager[WebhookSender]]


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    open_upstreams: OpenUpstreams = open_upstreams,
    open_pool: OpenPool = open_pool,
    open_sources: OpenSources = open_sources,
    open_webhooks: OpenWebhooks = open_webhook_sender,
    open_retriever: OpenRetriever = open_retriever,
    retries: Retries = retry.DEFAULT,
) -> AsyncIterator[Services]:
    """Open what the service needs for its life, and close it afterwards.

    The other arguments are where the service meets the outside: Bedrock, processes that decode,
    pictures by name, webhooks, the waits between attempts. Tests put theirs there, and have
    everything else as it is in production.
    """
    identity = settings.identity
    announce(identity, settings)
    session = aws_session()
    drain = Drain()
    guards = open_guards(settings)
    successors = open_guards(settings, settings.successor_targets)
    knowledge_base_guards = open_knowledge_base_guards(settings)
    key_changes = KeyChanges()
    room = bytes_in_flight(settings)
    guardrails = GuardrailPolicies(settings.guardrail_policy)
    async with (
        AnswerReader.open() as reader,
        open_operations(
            settings, (*guards, *successors), knowledge_base_guards, key_changes, room
        ) as operations,
        open_residency(session, settings, operations.metrics) as residency,
        open_lifecycle(session, settings, operations.metrics) as lifecycle,
        open_upstreams(session, settings) as upstreams,
        open_pool(settings) as pool,
        open_sources(session, settings, room) as sources,
        open_cipher(session, settings) as cipher,
        open_receipts(session, settings) as receipts,
        open_audit_log(session, settings, cipher, receipts, operations.metrics) as audit,
        open_files(session, settings, cipher) as files,
        open_guardrails(
            session,
            settings,
            guardrails,
            operations.limits,
            operations.metrics,
            digests := PixelDigests(pool),
        ) as guarded,
        open_answers(settings, operations.metrics, cipher) as answers,
        open_queue(settings, cipher) as queue,
        open_webhooks(settings) as sender,
        batch_jobs.open_jobs(session, settings) as native,
        open_retriever(session, settings) as retriever,
        open_reader(settings) as evidence,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(units_lookup(guards, settings))
        operations = audited(operations, audit, key_changes)
        sources = replace(
            resident_sources(sources, residency),
            files=FileImageSource(files, settings.max_image_bytes),
        )
        price = guards[0].price
        counter = token_counter.counter()
        threads = stack.enter_context(closing(FairThreads("pictures", PICTURE_THREADS)))
        preparer = witnessed_pictures(settings, image_pipeline(pool, settings, threads))
        model = model_stack(
            resident(upstreams, residency),
            guards,
            successors,
            lifecycle,
            retries,
            witness(settings, residency),
        )
        await stack.enter_async_context(watched(lifecycle))
        await stack.enter_async_context(kept_warm(_keeper(guards, model, settings)))
        generations = GenerationService(
            identity=identity,
            capabilities=settings.capabilities,
            model=with_cache(
                BoundedPromptModel(
                    verdicts(
                        settings, guarded(QuotaModel(model, operations.limits, counter, price))
                    ),
                    counter,
                    settings.capabilities.context_window,
                ),
                answers,
                settings,
                guardrails,
                digests,
            ),
            sources=sources,
            preparer=preparer,
            drain=drain,
            answers=IdempotentAnswers(drain, settings.longest_request),
            sheets=pool,
            threads=threads,
        )
        worker, hooks = (
            Worker(queue, drain, lease_seconds=settings.work_lease),
            webhooks(queue, sender, settings),
        )
        enforcement = Enforcement(settings.capabilities)
        asker = FormAsker(generations.generate, reader, drain, enforcement)
        batches = BatchService(queue, files, hooks.check, batch_jobs.unavailable(settings))
        yield Services(
            model=ServedModel(
                identity,
                settings.capabilities,
                settings.targets,
                settings.dialect_choice.reason,
                settings.model_aliases,
            ),
            guards=(*guards, *successors),
            generations=generations,
            tasks=TaskService(
                generations,
                Documents(sources, pool, image_limits(settings), settings.max_pages),
                asker,
                evidence,
            ),
            structured=StructuredService(asker),
            rag=rag_service(
                retriever,
                knowledge_base_guards,
                settings,
                generations,
                asker,
                pool,
                counter,
                retries,
            ),
            knowledge_base_guards=knowledge_base_guards,
            preparations=PreparationService(sources, preparer, drain),
            readiness=AllReady(
                (
                    drain,
                    *_credentials(session, settings),
                    CredentialsTaken(guards),
                    ResidencyReadiness(residency),
                    *await stack.enter_async_context(open_limits_check(settings)),
                )
            ),
            timing=Timing(
                request=settings.request_timeout,
                longest=settings.longest_request,
                heartbeat=settings.heartbeat,
            ),
            drain=drain,
            room=room,
            estimates=EstimateService(identity, generations, counter, price, drain),
            operations=operations,
            residency=residency,
            lifecycle=lifecycle,
            cipher=cipher,
            receipts=receipts,
            audit=audit,
            erasure=ErasureService(
                cipher, erasure_holders(files, answers, queue, generations.answers), receipts, audit
            ),
            proving=proves(settings),
            files=files,
            uploads=UploadService(files),
            batches=batches,
            events=await stack.enter_async_context(
                open_events(session, settings, files, batches, operations.authenticator)
            ),
            batch_jobs=native,
            guardrails=guardrails,
            answers=answers,
            queue=queue,
            worker=worker,
            webhooks=hooks,
            jobs=Jobs(queue, hooks, settings.job_expires, worker.wake),
        )


def _credentials(session: aioboto3.Session, settings: Settings) -> tuple[CredentialsCheck, ...]:
    """Return what looks for AWS's credentials, where a target needs them."""
    needed = any(target.dialect.is_bedrock for target in settings.targets)
    return (CredentialsCheck(session),) if needed else ()


def _keeper(
    guards: Sequence[TargetGuard], model: VisionModel, settings: Settings
) -> KeepWarm | None:
    return (
        None if settings.keep_warm is None else KeepWarm(guards, model.generate, settings.keep_warm)
    )
