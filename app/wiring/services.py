"""The composition root: opens clients, picks adapters, builds Services."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aioboto3
import structlog

from app.adapters.access import key_file
from app.adapters.bedrock import token_counter
from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.identity.credentials import Connection, CredentialsCheck
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.adapters.sources import http, s3
from app.adapters.sources.http import HttpImageSource
from app.adapters.sources.off import DisabledSource
from app.adapters.sources.rules import UrlRules
from app.adapters.sources.s3 import S3ImageSource
from app.domain.image import ImageLimits, S3Image, UrlImage
from app.domain.model import Dialect, ModelIdentity, identify
from app.domain.ports import ImagePreparer, ImageSource, VisionModel
from app.services.concurrency.budget import AdmittedPreparer, Budget
from app.services.concurrency.deadline import Drain
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.documents.page_images import Documents
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.image_sources import ImageSources
from app.services.generation.service import GenerationService
from app.services.generation.structured import StructuredService
from app.services.images.cache import CachedPreparer
from app.services.images.fast_path import PassingPreparer
from app.services.images.pool import PooledPreparer
from app.services.model_stack.circuit_breaker import Breaker, BreakingModel
from app.services.model_stack.concurrency_limit import FairSlots, LimitedModel
from app.services.model_stack.failover import FailoverModel
from app.services.model_stack.metering import MeteredPreparer, MeteredVisionModel
from app.services.model_stack.quota import RationedModel
from app.services.model_stack.retry import RetriedModel, RetryBudget
from app.services.model_stack.stop_sequences import StoppedModel
from app.services.model_stack.target import Gate
from app.services.readiness import AllReady
from app.services.registry import ServedModel, Services, Timing
from app.services.task_runner.service import TaskService
from app.services.usage import pricing
from app.services.usage.pricing import PriceTable
from app.settings import PREFIX, Settings, SettingsError
from app.wiring.operations import open_operations

log = structlog.get_logger()


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open what the service needs for its life, and close it afterwards."""
    identity = settings.identity
    _announce(identity, settings)
    session = aioboto3.Session()
    drain = Drain()
    gates = open_gates(settings)
    room = bytes_in_flight(settings)
    async with (
        open_operations(settings, gates) as operations,
        open_model(session, settings, gates) as model,
        PooledPreparer(image_limits(settings), workers=settings.image_workers) as pool,
        open_sources(session, settings, room) as sources,
    ):
        price = pricing.load(settings.prices_file).price(identity)
        counter = token_counter.counter()
        preparer = MeteredPreparer(
            PassingPreparer(
                remembering(admitting(pool, settings), settings), image_limits(settings)
            )
        )
        generations = GenerationService(
            identity=identity,
            model=RationedModel(model, operations.limits, counter, price),
            sources=sources,
            preparer=preparer,
            drain=drain,
            answers=IdempotentAnswers(drain, settings.request_timeout),
            sheets=pool,
        )
        yield Services(
            model=ServedModel(identity, settings.targets, settings.model_aliases),
            gates=gates,
            generations=generations,
            tasks=TaskService(generations, Documents(sources, pool, image_limits(settings))),
            structured=StructuredService(generations),
            preparations=PreparationService(sources, preparer, drain),
            readiness=AllReady((drain, CredentialsCheck(session))),
            timing=timing(settings),
            drain=drain,
            room=room,
            estimates=EstimateService(identity, generations, counter, price, drain),
            operations=operations,
        )


@asynccontextmanager
async def open_model(
    session: aioboto3.Session, settings: Settings, gates: Sequence[Gate]
) -> AsyncIterator[VisionModel]:
    """Open one runtime for each region, and stack what a call goes through."""
    prices = pricing.load(settings.prices_file)
    async with AsyncExitStack() as stack:
        runtimes = {
            region: await stack.enter_async_context(
                open_runtime(session, connection(settings, region))
            )
            for region in {target.region for target in settings.targets}
        }
        yield StoppedModel(
            RetriedModel(
                FailoverModel(
                    [
                        (gate.target, guarded(gate, runtimes[gate.target.region], settings, prices))
                        for gate in gates
                    ]
                ),
                RetryBudget(),
            )
        )


def open_gates(settings: Settings) -> tuple[Gate, ...]:
    """Return a gate for each target, in order."""
    return tuple(
        Gate(
            target,
            Breaker(settings.breaker_threshold, settings.breaker_reset),
            FairSlots(settings.max_concurrency, settings.max_waiting, settings.max_wait),
        )
        for target in settings.targets
    )


def guarded(gate: Gate, runtime: Runtime, settings: Settings, prices: PriceTable) -> VisionModel:
    """Stack what stands before one target. Read from the inside out."""
    target = gate.target
    bedrock = vision_model(target.dialect, runtime, target.model_id)
    price = prices.price(identify(target.model_id, settings.identity.base.key))
    metered = MeteredVisionModel(bedrock, target, price)
    return LimitedModel(
        BreakingModel(metered, gate.breaker),
        gate.slots,
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


def vision_model(dialect: Dialect, runtime: Runtime, model_id: str) -> VisionModel:
    """Pick the adapter for ``dialect``."""
    match dialect:
        case Dialect.INVOKE:
            return InvokeVisionModel(runtime, model_id)
        case Dialect.CONVERSE:
            return ConverseVisionModel(runtime, model_id)


def check(settings: Settings) -> None:
    """Raise SettingsError, with a line for each, where files that are named can't be read.

    Asked before anything starts: of several workers each would fail by itself.
    """
    keys_file = settings.keys_file if settings.authenticates else None
    faults = (
        _fault("keys_file", key_file.read, keys_file),
        _fault("prices_file", pricing.load, settings.prices_file),
    )
    if lines := [fault for fault in faults if fault]:
        raise SettingsError("\n".join(lines))


def _fault(name: str, read: Callable[[Path], object], path: Path | None) -> str | None:
    try:
        if path is not None:
            read(path)
    except OSError as error:
        return f"{PREFIX}{name.upper()}: {path}: {error.strerror}"
    except ValueError as error:
        return f"{PREFIX}{name.upper()}: {error}"
    return None


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
async def open_sources(
    session: aioboto3.Session, settings: Settings, room: Budget
) -> AsyncIterator[ImageSources]:
    """Open what fetches pictures that a request only names."""
    async with AsyncExitStack() as stack:
        yield ImageSources(
            settings.max_image_bytes,
            urls=await _urls(stack, settings),
            objects=await _objects(stack, session, settings),
            room=room,
        )


async def _urls(stack: AsyncExitStack, settings: Settings) -> ImageSource[UrlImage]:
    if settings.image_url_hosts is None:
        return DisabledSource("pictures by URL", f"{PREFIX}IMAGE_URL_HOSTS")
    return HttpImageSource(
        transport=await stack.enter_async_context(http.open_transport()),
        rules=UrlRules(settings.image_url_hosts, settings.image_url_allow_http),
        max_bytes=settings.max_image_bytes,
        timeout=settings.image_source_timeout,
    )


async def _objects(
    stack: AsyncExitStack, session: aioboto3.Session, settings: Settings
) -> ImageSource[S3Image]:
    if settings.image_s3_buckets is None:
        return DisabledSource("pictures from S3", f"{PREFIX}IMAGE_S3_BUCKETS")
    endpoint = settings.image_s3_endpoint_url
    connection = s3.Connection(
        settings.image_s3_region or settings.region,
        str(endpoint) if endpoint else None,
        settings.image_source_timeout,
    )
    return S3ImageSource(
        client=await stack.enter_async_context(s3.open_client(session, connection)),
        buckets=settings.image_s3_buckets,
        max_bytes=settings.max_image_bytes,
        timeout=settings.image_source_timeout,
        owner=settings.image_s3_owner,
    )


def bytes_in_flight(settings: Settings) -> Budget:
    """Return the room for bodies and fetched pictures."""
    return Budget("bytes", settings.max_bytes_in_flight, settings.admission_timeout)


def admitting(preparer: ImagePreparer, settings: Settings) -> ImagePreparer:
    """Bound the pixels that ``preparer`` works on at a time."""
    pixels = Budget("pixels", settings.max_pixels_in_flight, settings.admission_timeout)
    return AdmittedPreparer(preparer, image_limits(settings), pixels)


def remembering(preparer: ImagePreparer, settings: Settings) -> ImagePreparer:
    """Put the cache before ``preparer``, where there is to be one."""
    if not settings.image_cache_bytes:
        return preparer
    return CachedPreparer(preparer, settings.image_cache_bytes)


def image_limits(settings: Settings) -> ImageLimits:
    """Return what pictures are taken and what they are made into."""
    base = settings.identity.base
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_side=base.max_image_side,
        byte_budget=base.max_image_bytes,
    )
