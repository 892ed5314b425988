"""Opens the sentinel of the models' lifecycles."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aioboto3

from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.lifecycle import Lifecycles
from app.domain.model import identify
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.settings import Settings
from app.telemetry.metrics import Metrics


@asynccontextmanager
async def open_lifecycle(
    session: aioboto3.Session, settings: Settings, metrics: Metrics
) -> AsyncIterator[LifecycleSentinel]:
    """Open the sentinel. It asks once `watched`; where it is off it knows nothing."""
    if not settings.lifecycle:
        yield LifecycleSentinel({}, metrics)
        return
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    async with open_control_planes(session, endpoint) as plane:
        lifecycles, base = Lifecycles(plane), settings.identity.base.key
        asked = {
            target: partial(lifecycles.life, target, identify(target.model_id, base))
            for target in settings.every_target
            if target.dialect.is_bedrock
        }
        yield LifecycleSentinel(asked, metrics, settings.lifecycle_interval)


SOON = 0.5
"""Seconds until the first check. Its client takes as much CPU as a tenth of a start."""


@asynccontextmanager
async def watched(sentinel: LifecycleSentinel) -> AsyncIterator[None]:
    """Have ``sentinel`` look soon and then daily in the background; no start waits for it."""
    if not sentinel.asked:
        yield
        return
    watching = asyncio.create_task(_watch(sentinel))
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _watch(sentinel: LifecycleSentinel) -> None:
    await asyncio.sleep(SOON)
    await sentinel.watch()
