"""Opens the sources of pictures and the pipeline that prepares them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import aioboto3

from app.adapters.http1.resolver import open_resolver
from app.adapters.sources import http, s3
from app.adapters.sources.addresses import AddressPolicy
from app.adapters.sources.http import HttpImageSource
from app.adapters.sources.off import DisabledSource
from app.adapters.sources.rules import UrlRules
from app.adapters.sources.s3 import S3ImageSource
from app.domain.cache import CacheMode
from app.domain.image import ImageLimits, S3Image, UrlImage
from app.domain.ports import ImagePreparer, ImageSource
from app.services.concurrency.budget import Budget
from app.services.concurrency.fair_threads import FairThreads
from app.services.generation.image_sources import ImageSources
from app.services.images.cache import KeptReports, NoReportCache, ReportCache
from app.services.images.pipeline import Decoders, PicturePipeline
from app.services.images.workers.pool import PooledPreparer
from app.services.model_stack.metering import MeteringPreparer
from app.settings import PREFIX, Settings


@asynccontextmanager
async def open_sources(
    session: aioboto3.Session, settings: Settings, room: Budget
) -> AsyncIterator[ImageSources]:
    """Open the sources of pictures that requests name but do not contain."""
    async with AsyncExitStack() as stack:
        yield ImageSources(
            settings.max_image_bytes,
            urls=await _urls(stack, settings),
            objects=await _objects(stack, session, settings),
            room=room,
            threads=stack.enter_context(closing(FairThreads("base64"))),
        )


async def _urls(stack: AsyncExitStack, settings: Settings) -> ImageSource[UrlImage]:
    if settings.image_url_hosts is None:
        return DisabledSource("pictures by URL", f"{PREFIX}IMAGE_URL_HOSTS")
    return HttpImageSource(
        transport=await stack.enter_async_context(http.open_transport()),
        rules=UrlRules(settings.image_url_hosts, settings.image_url_allow_http),
        max_bytes=settings.max_image_bytes,
        timeout=settings.image_source_timeout,
        addresses=AddressPolicy(),
        resolve=http.resolving(await stack.enter_async_context(open_resolver())),
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
    """Return the memory budget of request bodies and fetched pictures."""
    return Budget(
        "bytes",
        settings.max_bytes_in_flight,
        settings.admission_timeout,
        largest=max(settings.max_body_bytes, settings.max_image_bytes),
    )


def pixels_in_flight(settings: Settings) -> Budget:
    """Return the pixel budget of pictures being decoded."""
    return Budget("pixels", settings.max_pixels_in_flight, settings.admission_timeout)


def report_cache(settings: Settings, threads: FairThreads) -> ReportCache:
    """Return the cache of prepared pictures; it keeps none if its size is set to 0."""
    if not settings.image_cache_bytes:
        return NoReportCache()
    return KeptReports(settings.image_cache_bytes, threads)


def image_limits(settings: Settings) -> ImageLimits:
    """Return the limits of pictures as received and as prepared."""
    base = settings.identity.base
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_side=base.max_image_side,
        byte_budget=base.max_image_bytes,
        pixel_digests=pixel_digests(settings),
    )


def pixel_digests(settings: Settings) -> bool:
    """Tell whether anything compares pictures by their pixels."""
    return settings.guardrail_kind is not None or settings.cache is not CacheMode.OFF


def open_pool(settings: Settings) -> PooledPreparer:
    """Return the pool of decoder processes; entering it starts them, unless that is deferred."""
    return PooledPreparer(
        image_limits(settings), workers=settings.image_workers, waits=settings.image_workers_wait
    )


def image_pipeline(decoders: Decoders, settings: Settings, threads: FairThreads) -> ImagePreparer:
    """Return the pipeline that every picture goes through, with metrics."""
    return MeteringPreparer(
        PicturePipeline(
            decoders,
            image_limits(settings),
            pixels_in_flight(settings),
            report_cache(settings, threads),
            threads,
        )
    )
