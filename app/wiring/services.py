"""The composition root: opens clients, picks adapters, builds Services."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aioboto3
import structlog

from app.adapters.access import key_file
from app.adapters.aws_session import aws_session
from app.adapters.bedrock import token_counter
from app.adapters.bedrock.chat import ChatVisionModel
from app.adapters.bedrock.converse import ConverseVisionModel
from app.adapters.bedrock.identity.credentials import Connection, CredentialsCheck
from app.adapters.bedrock.invoke import InvokeVisionModel
from app.adapters.bedrock.runtime import Runtime, open_runtime
from app.adapters.http1.sender import Limits
from app.adapters.sources import http, s3
from app.adapters.sources.http import HttpImageSource
from app.adapters.sources.off import DisabledSource
from app.adapters.sources.rules import UrlRules
from app.adapters.sources.s3 import S3ImageSource
from app.domain.cost import Price
from app.domain.generation import Target
from app.domain.image import ImageLimits, S3Image, UrlImage
from app.domain.model import Dialect, ModelIdentity, capabilities, identify
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
    session = aws_session()
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
    """Open what each target is called through, and stack what a call goes through."""
    prices = pricing.load(settings.prices_file)
    async with AsyncExitStack() as stack:
        adapters = await open_adapters(stack, session, settings)
        yield StoppedModel(
            RetriedModel(
                FailoverModel(
                    [
                        (gate.target, guarded(gate, adapters[gate.target], settings, prices))
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


async def open_adapters(
    stack: AsyncExitStack, session: aioboto3.Session, settings: Settings
) -> Mapping[Target, VisionModel]:
    """Open one runtime for each region of Bedrock, and the other server where one is named."""
    runtimes: dict[str, Runtime] = {}
    adapters: dict[Target, VisionModel] = {}
    for target in settings.targets:
        if target.dialect is Dialect.OPENAI:
            adapters[target] = await stack.enter_async_context(open_other_server(settings, target))
            continue
        if target.region not in runtimes:
            way = open_runtime(session, connection(settings, target.region))
            runtimes[target.region] = await stack.enter_async_context(way)
        identity = identify(target.model_id, settings.identity.base.key)
        adapters[target] = vision_model(target.dialect, runtimes[target.region], identity)
    return adapters


@asynccontextmanager
async def open_other_server(settings: Settings, target: Target) -> AsyncIterator[VisionModel]:
    """Open the OpenAI-compatible server that the settings name."""
    # It needs httpx-sse, which whoever calls Bedrock alone never loads.
    from app.adapters.openai.model import OpenAiVisionModel
    from app.adapters.openai.server import open_server

    key = settings.openai_key.get_secret_value() if settings.openai_key else None
    if settings.openai_key_file is not None:
        key = _key(settings.openai_key_file)
    async with open_server(str(settings.openai_url), key, limits(settings)) as server:
        able = settings.capabilities_of(target)
        yield OpenAiVisionModel(server, target.model_id, able)


def guarded(
    gate: Gate, adapter: VisionModel, settings: Settings, prices: PriceTable
) -> VisionModel:
    """Stack what stands before one target. Read from the inside out."""
    metered = MeteredVisionModel(adapter, gate.target, price(gate.target, settings, prices))
    return LimitedModel(
        BreakingModel(metered, gate.breaker),
        gate.slots,
    )


def price(target: Target, settings: Settings, prices: PriceTable) -> Price | None:
    """Return what ``target``'s tokens cost; None where that is unknown or not by token."""
    if target.dialect is Dialect.OPENAI:
        return None
    return prices.price(identify(target.model_id, settings.identity.base.key))


def connection(settings: Settings, region: str) -> Connection:
    """Return how Bedrock is reached in ``region``."""
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    return Connection(region, endpoint, limits(settings))


def limits(settings: Settings) -> Limits:
    """Return how long an upstream is waited for, and over how many connections."""
    return Limits(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_connections=settings.max_concurrency * len(settings.targets),
    )


def timing(settings: Settings) -> Timing:
    """Return how long things may take."""
    return Timing(request=settings.request_timeout, heartbeat=settings.heartbeat)


def vision_model(dialect: Dialect, runtime: Runtime, identity: ModelIdentity) -> VisionModel:
    """Pick the adapter for ``dialect``."""
    match dialect:
        case Dialect.INVOKE:
            return InvokeVisionModel(runtime, identity.id)
        case Dialect.CONVERSE:
            return ConverseVisionModel(runtime, identity.id)
        case Dialect.CHAT:
            able = capabilities(dialect, identity.base)
            return ChatVisionModel(runtime, identity.id, able)
        case Dialect.OPENAI:
            raise ValueError("an OpenAI-compatible server is no region of Bedrock")


def check(settings: Settings) -> None:
    """Raise SettingsError, with a line for each, where files that are named can't be read.

    Asked before anything starts: of several workers each would fail by itself.
    """
    keys_file = settings.keys_file if settings.authenticates else None
    faults = (
        _fault("keys_file", key_file.read, keys_file),
        _fault("prices_file", pricing.load, settings.prices_file),
        _fault("openai_key_file", _key, settings.openai_key_file),
    )
    if lines := [fault for fault in faults if fault]:
        raise SettingsError("\n".join(lines))


def _key(path: Path) -> str:
    """Return the key in ``path``. Raises OSError, and ValueError that names the file."""
    key = path.read_text("utf-8").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError(f"{path}: holds no key, which is one line of ASCII")
    return key


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
        dialect=settings.dialect_choice.dialect,
        reason=settings.dialect_choice.reason,
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
