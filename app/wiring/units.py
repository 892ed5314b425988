"""Looks up an imported model's Custom Model Units in the background while the service starts."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import structlog
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.aws_session import aws_session
from app.domain.cost import UnitPrice
from app.domain.generation import Target
from app.services.model_stack.target import TargetGuard
from app.settings import PREFIX, Settings

REMEDY = (
    f"grant bedrock:GetImportedModel, or write units_per_copy into {PREFIX}PRICES_FILE; "
    "docs/metrics.md"
)

log = structlog.get_logger()


@contextmanager
def units_lookup(guards: Sequence[TargetGuard], settings: Settings) -> Iterator[None]:
    """Look units up in a thread, so that neither the start nor the event loop waits for AWS.

    It is a daemon thread of its own, as the exit would wait for an executor's. Costs are unknown
    until the units are, and remain so if Bedrock does not return them.
    """
    unknown = [
        (guard.target, guard.price)
        for guard in guards
        if isinstance(guard.price, UnitPrice) and guard.price.units_per_copy is None
    ]
    over = Event()
    if unknown:
        arguments = unknown, settings, over
        Thread(target=_look_up, args=arguments, name="units", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _look_up(unknown: Sequence[tuple[Target, UnitPrice]], settings: Settings, over: Event) -> None:
    for target, price in unknown:
        try:
            units, reason = units_of(target, settings), "Bedrock does not return it"
        except (BotoCoreError, ClientError, OSError) as error:
            units, reason = None, _reason(error)
        if over.is_set():
            return
        price.units_per_copy = units
        if units is None:
            log.warning(
                "the model's units are unknown, and so is what calls cost",
                target=str(target),
                reason=reason,
                remedy=REMEDY,
            )


def units_of(target: Target, settings: Settings) -> int | None:
    """Return the units per copy, None if Bedrock returns none. Raises the SDK's errors."""
    return asyncio.run(_fetch_units(target, settings))


async def _fetch_units(target: Target, settings: Settings) -> int | None:
    endpoint: Any = str(settings.endpoint_url) if settings.endpoint_url else None
    async with aws_session().client(
        "bedrock",
        region_name=target.region,
        endpoint_url=endpoint,
        config=AioConfig(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1}),
    ) as client:
        reply: Any = await client.get_imported_model(modelIdentifier=target.model_id)
    units: int | None = reply.get("customModelUnits", {}).get("customModelUnitsPerModelCopy")
    return units


def _reason(error: Exception) -> str:
    """Return AWS's error code if it answered, else the name of the exception's class."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__
