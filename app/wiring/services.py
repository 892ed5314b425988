"""Builds the Services from the resources that are open for the service's life."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import aioboto3

from app.adapters.bedrock import token_counter
from app.adapters.bedrock.identity.credentials import CredentialsCheck
from app.domain.ports import Readiness, TokenCounter, VisionModel
from app.services.answers.enforcement import Enforcement
from app.services.answers.repair import FormAsker
from app.services.batches.service import BatchService
from app.services.concurrency.deadline import Drain
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.documents.page_images import Documents
from app.services.erasure.service import ErasureService
from app.services.files.uploads import UploadService
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.guardrails.document_texts import DocumentTexts
from app.services.jobs.service import Jobs
from app.services.model_stack import retry
from app.services.model_stack.keep_warm import KeepWarm, kept_warm
from app.services.model_stack.paid_answers import PaidAnswersModel
from app.services.model_stack.prompt_length import BoundedPromptModel
from app.services.model_stack.quota import QuotaModel
from app.services.model_stack.retry import Retries
from app.services.model_stack.target import TargetGuard
from app.services.readiness import AllReady, CredentialsAccepted
from app.services.registry import ServedModel, Services, Timing
from app.services.residency.sentinel import ResidencyReadiness
from app.services.task_runner.service import TaskService
from app.services.work.worker import Worker
from app.settings import Settings
from app.wiring import batch_jobs
from app.wiring.access import open_limits_check
from app.wiring.cache import with_cache
from app.wiring.erasure import erasure_holders
from app.wiring.events import batch_events, open_objects
from app.wiring.guardrails import guarded
from app.wiring.images import image_limits, image_pipeline
from app.wiring.lifecycle import watched
from app.wiring.model import model_stack
from app.wiring.preflight import announce
from app.wiring.rag import rag_service
from app.wiring.receipts import proves, verdicts, witness, witnessed_pictures
from app.wiring.resources import Edges, Resources, open_resources
from app.wiring.units import units_lookup
from app.wiring.webhooks import webhooks

EDGES = Edges()


@asynccontextmanager
async def open_services(
    settings: Settings, edges: Edges = EDGES, *, retries: Retries = retry.DEFAULT
) -> AsyncIterator[Services]:
    """Open the services, and close them afterwards.

    ``edges`` opens the connections to the outside; ``retries`` has the rules and waits of retries.
    """
    announce(settings.identity, settings)
    drain = Drain()
    async with open_resources(settings, edges) as resources, AsyncExitStack() as stack:
        stack.enter_context(units_lookup(resources.guards.targets, settings))
        model = model_stack(
            resources.upstreams,
            resources.guards.targets,
            resources.guards.successors,
            resources.lifecycle,
            retries,
            witness(settings, resources.residency),
        )
        await stack.enter_async_context(watched(resources.lifecycle))
        keeper = _keeper(resources.guards.targets, model, settings)
        await stack.enter_async_context(kept_warm(keeper))
        limits = await stack.enter_async_context(open_limits_check(settings))
        readiness = AllReady(
            (
                drain,
                *_credentials(resources.session, settings),
                CredentialsAccepted(resources.guards.targets),
                ResidencyReadiness(resources.residency),
                *limits,
            )
        )
        objects = await stack.enter_async_context(open_objects(resources.session, settings))
        services = build_services(settings, resources, model, readiness, drain, retries)
        yield replace(services, events=batch_events(settings, objects, services))


def build_services(
    settings: Settings,
    resources: Resources,
    model: VisionModel,
    readiness: Readiness,
    drain: Drain,
    retries: Retries,
) -> Services:
    """Return the Services, with every use case in front of ``model``."""
    counter, stores = token_counter.counter(), resources.stores
    generations = _generations(settings, resources, model, counter, drain)
    asker = FormAsker(
        generations.generate, resources.reader, drain, Enforcement(settings.capabilities)
    )
    texts = DocumentTexts(resources.guardrails, resources.screen)
    worker = Worker(stores.queue, drain, lease_seconds=settings.work_lease)
    hooks = webhooks(stores.queue, resources.webhook_sender, settings)
    price = resources.guards.targets[0].price
    return Services(
        model=_served_model(settings),
        guards=resources.guards.models,
        generations=generations,
        tasks=_tasks(settings, resources, generations, asker, texts),
        structured=StructuredService(asker),
        rag=rag_service(settings, resources, generations, asker, texts, counter, retries),
        preparations=PreparationService(resources.sources, generations.preparer, drain),
        readiness=readiness,
        timing=Timing(settings.request_timeout, settings.longest_request, settings.heartbeat),
        drain=drain,
        room=resources.room,
        estimates=EstimateService(settings.identity, generations, counter, price, drain),
        operations=resources.operations,
        residency=resources.residency,
        lifecycle=resources.lifecycle,
        cipher=resources.cipher,
        receipts=resources.receipts,
        audit=resources.audit,
        erasure=_erasure(resources, generations),
        proving=proves(settings),
        files=stores.files,
        uploads=UploadService(stores.files),
        batches=BatchService(
            stores.queue, stores.files, hooks.check, batch_jobs.unavailable(settings)
        ),
        batch_jobs=resources.batch_jobs,
        guardrails=resources.guardrails,
        answers=stores.answers,
        queue=stores.queue,
        worker=worker,
        webhooks=hooks,
        jobs=Jobs(stores.queue, hooks, settings.job_expires, worker.wake),
    )


def _served_model(settings: Settings) -> ServedModel:
    return ServedModel(
        settings.identity,
        settings.capabilities,
        settings.targets,
        settings.dialect_choice.reason,
        settings.model_aliases,
    )


def _tasks(
    settings: Settings,
    resources: Resources,
    generations: GenerationService,
    asker: FormAsker,
    texts: DocumentTexts,
) -> TaskService:
    documents = Documents(
        resources.sources,
        resources.pool,
        image_limits(settings),
        settings.max_pages,
        most_job_pages=settings.max_job_pages,
    )
    return TaskService(generations, documents, asker, resources.evidence, texts)


def _generations(
    settings: Settings,
    resources: Resources,
    model: VisionModel,
    counter: TokenCounter,
    drain: Drain,
) -> GenerationService:
    """Return the generation service: the model behind quotas, guardrails, bound and cache."""
    price = resources.guards.targets[0].price
    counted = QuotaModel(model, resources.operations.limits, counter, price)
    screened = verdicts(settings, guarded(counted, resources.guardrails, resources.screen))
    bounded = BoundedPromptModel(screened, counter, settings.capabilities.context_window)
    pipeline = image_pipeline(resources.pool, settings, resources.threads)
    stores = resources.stores
    return GenerationService(
        identity=settings.identity,
        capabilities=settings.capabilities,
        model=PaidAnswersModel(
            with_cache(bounded, stores.answers, settings, resources.guardrails, resources.digests)
        ),
        sources=resources.sources,
        preparer=witnessed_pictures(settings, pipeline),
        drain=drain,
        answers=IdempotentAnswers(drain, settings.longest_request, shared=stores.shared_answers),
        sheets=resources.pool,
        threads=resources.threads,
    )


def _erasure(resources: Resources, generations: GenerationService) -> ErasureService:
    holders = erasure_holders(resources.stores, generations.answers)
    return ErasureService(resources.cipher, holders, resources.receipts, resources.audit)


def _credentials(session: aioboto3.Session, settings: Settings) -> tuple[CredentialsCheck, ...]:
    """Return the check of AWS credentials, if a target needs them."""
    needed = any(target.dialect.is_bedrock for target in settings.targets)
    return (CredentialsCheck(session),) if needed else ()


def _keeper(
    guards: Sequence[TargetGuard], model: VisionModel, settings: Settings
) -> KeepWarm | None:
    return (
        None if settings.keep_warm is None else KeepWarm(guards, model.generate, settings.keep_warm)
    )
