"""Opens the sentinel of the models' lifecycles."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aioboto3

from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.lifecycle import Lifecycles
from app.domain.model import identify
from app.services.concurrency.task_scope import running
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.settings import Settings
from app.telemetry.metrics import Metrics


@asynccontextmanager
async def open_lifecycle(
    session: aioboto3.Session, settings: Settings, metrics: Metrics
) -> AsyncIterator[LifecycleSentinel]:
    """Open the sentinel. It asks AWS once it is `watched`; if it is off it never does."""
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
"""Seconds until the first check, whose client takes a tenth of the CPU of a whole start."""


@asynccontextmanager
async def watched(sentinel: LifecycleSentinel) -> AsyncIterator[None]:
    """Let ``sentinel`` check in the background, first after `SOON` and then at intervals."""
    if not sentinel.asked:
        yield
        return
    async with running(_watch(sentinel)):
        yield


async def _watch(sentinel: LifecycleSentinel) -> None:
    await asyncio.sleep(SOON)
    await sentinel.watch()
