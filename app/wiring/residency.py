"""Opens the sentinel of data residency."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aioboto3

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.locations import Locations
from app.adapters.sources import s3
from app.services.concurrency.task_scope import running
from app.services.residency.sentinel import ResidencySentinel
from app.settings import PREFIX, Settings, SettingsError
from app.telemetry.metrics import Metrics
from app.wiring.residency_hops import PROVIDERS, Lookup


@asynccontextmanager
async def open_residency(
    session: aioboto3.Session, settings: Settings, metrics: Metrics
) -> AsyncIterator[ResidencySentinel]:
    """Open the sentinel; if regions are configured it first checks every hop.

    Raises SettingsError, with a line for each hop outside, if residency is enforced.
    """
    enforces = settings.residency_mode == "enforce" and bool(settings.residency)
    if not settings.residency:
        yield ResidencySentinel((), (), enforces, metrics)
        return
    async with open_sentinel(session, settings, metrics) as sentinel:
        await sentinel.survey()
        if enforces and (outside := sentinel.violations()):
            raise SettingsError("\n".join(f"{PREFIX}RESIDENCY: {report}" for report in outside))
        async with running(sentinel.watch()):
            yield sentinel


async def check_residency(settings: Settings) -> None:
    """Raise SettingsError, with a line for each hop outside, if residency is enforced.

    It runs before anything starts, as several workers would each fail by themselves.
    """
    async with open_residency(aws_session(), settings, Metrics()):
        pass


@asynccontextmanager
async def open_sentinel(
    session: aioboto3.Session, settings: Settings, metrics: Metrics
) -> AsyncIterator[ResidencySentinel]:
    """Open a sentinel of all hops that has not checked any yet."""
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    s3_endpoint = settings.image_s3_endpoint_url
    connection = s3.Connection(
        settings.image_s3_region or settings.region, str(s3_endpoint) if s3_endpoint else None
    )
    async with AsyncExitStack() as stack:
        agents = settings.retrieval_endpoint_url
        planes = open_control_planes(session, endpoint, str(agents) if agents else endpoint)
        plane = await stack.enter_async_context(planes)
        client = await stack.enter_async_context(s3.open_client(session, connection))
        lookup = Lookup(settings, Locations(plane), client)
        yield ResidencySentinel(
            hops=[hop for provider in PROVIDERS for hop in provider(lookup)],
            allowed=settings.residency,
            enforces=settings.residency_mode == "enforce",
            metrics=metrics,
            interval=settings.residency_interval,
        )
