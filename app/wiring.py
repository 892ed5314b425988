"""The composition root: opens clients, picks adapters, builds Services."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aioboto3
import structlog

from app.adapters.bedrock import tokens
from app.adapters.bedrock.client import Connection, CredentialsCheck, open_client
from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.domain.generation import Target
from app.domain.image import ImageLimits
from app.domain.model import Dialect, ModelIdentity, identify
from app.domain.ports import ImagePreparer, VisionModel
from app.operations import open_operations
from app.services import pricing
from app.services.deadline import Drain
from app.services.estimate import EstimateService
from app.services.generation import GenerationService
from app.services.idempotency import IdempotentAnswers
from app.services.images.cache import CachedPreparer
from app.services.images.pool import PooledPreparer
from app.services.pricing import PriceTable
from app.services.readiness import AllReady
from app.services.registry import ServedModel, Services, Timing
from app.services.sources import ImageSources
from app.services.wrappers.breaking import Breaker, BreakingModel
from app.services.wrappers.failover import FailoverModel
from app.services.wrappers.labelled import LabelledModel
from app.services.wrappers.limited import FairSlots, LimitedModel
from app.services.wrappers.metered import MeteredPreparer, MeteredVisionModel
from app.services.wrappers.rationed import RationedModel
from app.services.wrappers.retried import RetriedModel, RetryBudget
from app.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient

log = structlog.get_logger()


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open what the service needs for its life, and close it afterwards."""
    identity = settings.identity
    _announce(identity, settings)
    session = aioboto3.Session()
    drain = Drain()
    async with (
        open_operations(settings) as operations,
        open_model(session, settings) as model,
        open_preparer(settings) as preparer,
    ):
        price = pricing.load(settings.prices_file).price(identity)
        counter = tokens.counter()
        sources = ImageSources(settings.max_image_bytes)
        metered = MeteredPreparer(preparer)
        yield Services(
            model=ServedModel(identity, settings.targets),
            generations=GenerationService(
                identity=identity,
                model=RationedModel(model, operations.limits, counter, price),
                sources=sources,
                preparer=metered,
                drain=drain,
                answers=IdempotentAnswers(),
            ),
            readiness=AllReady((drain, CredentialsCheck(session))),
            timing=timing(settings),
            drain=drain,
            estimates=EstimateService(identity, sources, metered, counter, price),
            operations=operations,
        )


@asynccontextmanager
async def open_model(session: aioboto3.Session, settings: Settings) -> AsyncIterator[VisionModel]:
    """Open one client for each region, and stack what a call goes through."""
    prices = pricing.load(settings.prices_file)
    async with AsyncExitStack() as stack:
        clients = {
            region: await stack.enter_async_context(
                open_client(session, connection(settings, region))
            )
            for region in {target.region for target in settings.targets}
        }
        yield RetriedModel(
            FailoverModel(
                [
                    (target, guarded(target, clients[target.region], settings, prices))
                    for target in settings.targets
                ]
            ),
            RetryBudget(),
        )


def guarded(
    target: Target, client: "BedrockRuntimeClient", settings: Settings, prices: PriceTable
) -> VisionModel:
    """Stack what stands before one target. Read from the inside out."""
    bedrock = vision_model(target.dialect, client, target.model_id)
    price = prices.price(identify(target.model_id, settings.identity.base.key))
    metered = MeteredVisionModel(bedrock, target.model_id, target.region, price)
    return LimitedModel(
        BreakingModel(
            LabelledModel(metered, target),
            Breaker(settings.breaker_threshold, settings.breaker_reset),
        ),
        FairSlots(settings.max_concurrency, settings.max_waiting, settings.max_wait),
    )


def connection(settings: Settings, region: str) -> Connection:
    """Return how Bedrock is reached in ``region``."""
    return Connection(
        region=region,
        endpoint_url=str(settings.endpoint_url) if settings.endpoint_url else None,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_connections=settings.max_concurrency * len(settings.targets),
    )


def timing(settings: Settings) -> Timing:
    """Return how long things may take."""
    return Timing(request=settings.request_timeout, heartbeat=settings.heartbeat)


def vision_model(dialect: Dialect, client: "BedrockRuntimeClient", model_id: str) -> VisionModel:
    """Pick the adapter for ``dialect``."""
    match dialect:
        case Dialect.INVOKE:
            return InvokeVisionModel(client, model_id)
        case Dialect.CONVERSE:
            return ConverseVisionModel(client, model_id)


def _announce(identity: ModelIdentity, settings: Settings) -> None:
    log.info(
        "model configured",
        model=identity.id,
        kind=identity.kind,
        region=settings.region,
        dialect=settings.dialect,
    )
    if identity.alias:
        log.warning("model id is an alias", configured=identity.alias, model=identity.id)
    if identity.region is None and settings.region not in identity.base.regions:
        log.warning(
            "model is not offered in this region",
            region=settings.region,
            offered=identity.base.regions,
        )


@asynccontextmanager
async def open_preparer(settings: Settings) -> AsyncIterator[ImagePreparer]:
    """Start the processes that make pictures right for the model."""
    limits = image_limits(settings)
    async with PooledPreparer(limits, workers=settings.image_workers) as pool:
        yield (
            CachedPreparer(pool, settings.image_cache_bytes) if settings.image_cache_bytes else pool
        )


def image_limits(settings: Settings) -> ImageLimits:
    """Return what pictures are taken and what they are made into."""
    base = settings.identity.base
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_side=base.max_image_side,
        byte_budget=base.max_image_bytes,
    )
