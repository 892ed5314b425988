"""The composition root: opens what the service needs for its life, and builds Services."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol

import aioboto3

from app.adapters.aws_session import aws_session
from app.adapters.bedrock import token_counter
from app.adapters.bedrock.identity.credentials import CredentialsCheck
from app.domain.ports import VisionModel
from app.services.answers.enforcement import Enforcement
from app.services.answers.executor import AnswerReader
from app.services.answers.repair import FormAsker
from app.services.audit.changes import KeyChanges
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.documents.page_images import Documents, Workers
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.image_sources import ImageSources
from app.services.generation.multiple_images import SheetMaker
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.images.pipeline import Decoders
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
from app.settings import Settings
from app.wiring.audit import open_audit_log
from app.wiring.encryption import open_cipher
from app.wiring.images import bytes_in_flight, image_limits, image_pipeline, open_pool, open_sources
from app.wiring.lifecycle import open_lifecycle, watched
from app.wiring.model import OpenUpstreams, model_stack, open_guards, open_upstreams
from app.wiring.preflight import announce
from app.wiring.receipts import open_receipts, proves, witness, witnessed_pictures
from app.wiring.residency import open_residency, resident, resident_sources
from app.wiring.telemetry import open_operations
from app.wiring.units import units_lookup


class PictureWork(Decoders, Workers, SheetMaker, Protocol):
    """Decodes pictures, draws pages of documents and contact sheets."""


OpenPool = Callable[[Settings], AbstractAsyncContextManager[PictureWork]]
OpenSources = Callable[
    [aioboto3.Session, Settings, Budget], AbstractAsyncContextManager[ImageSources]
]


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    open_upstreams: OpenUpstreams = open_upstreams,
    open_pool: OpenPool = open_pool,
    open_sources: OpenSources = open_sources,
    retries: Retries = retry.DEFAULT,
) -> AsyncIterator[Services]:
    """Open what the service needs for its life, and close it afterwards.

    The other arguments are where the service meets the outside: Bedrock, processes that decode,
    pictures by name, the waits between attempts. Tests put theirs there, and have everything
    else as it is in production.
    """
    identity = settings.identity
    announce(identity, settings)
    session = aws_session()
    drain = Drain()
    guards = open_guards(settings, settings.targets)
    successors = open_guards(settings, settings.successor_targets)
    key_changes = KeyChanges()
    room = bytes_in_flight(settings)
    async with (
        AnswerReader.open() as reader,
        open_operations(settings, (*guards, *successors), key_changes) as operations,
        open_residency(session, settings, operations.metrics) as residency,
        open_lifecycle(session, settings, operations.metrics) as lifecycle,
        open_cipher(session, settings) as cipher,
        open_receipts(session, settings) as receipts,
        open_audit_log(session, settings, cipher, receipts, operations.metrics) as audit,
        open_upstreams(session, settings) as upstreams,
        open_pool(settings) as pool,
        open_sources(session, settings, room) as all_sources,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(units_lookup(guards, settings))
        if audit is not None:
            key_changes.attach(audit)
            operations = replace(operations, sinks=(*operations.sinks, audit))
        sources = resident_sources(all_sources, residency)
        price = guards[0].price
        counter = token_counter.counter()
        preparer = witnessed_pictures(settings, image_pipeline(pool, settings))
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
            model=BoundedPromptModel(
                QuotaModel(model, operations.limits, counter, price),
                counter,
                settings.capabilities.context_window,
            ),
            sources=sources,
            preparer=preparer,
            drain=drain,
            answers=IdempotentAnswers(drain, settings.max_request_timeout),
            sheets=pool,
        )
        enforcement = Enforcement(settings.capabilities)
        asker = FormAsker(generations.generate, reader, drain, enforcement)
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
            tasks=TaskService(generations, Documents(sources, pool, image_limits(settings)), asker),
            structured=StructuredService(asker),
            preparations=PreparationService(sources, preparer, drain),
            readiness=AllReady(
                (
                    drain,
                    *_credentials(session, settings),
                    CredentialsTaken(guards),
                    ResidencyReadiness(residency),
                )
            ),
            timing=Timing(
                request=settings.request_timeout,
                longest=settings.max_request_timeout,
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
            proving=proves(settings),
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
