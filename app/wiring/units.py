"""How many Custom Model Units a copy takes, asked of Bedrock beside the start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from app.domain.cost import UnitPrice
from app.domain.generation import Target
from app.services.model_stack.target import TargetGuard
from app.settings import Settings

log = structlog.get_logger()


@asynccontextmanager
async def open_units(guards: Sequence[TargetGuard], settings: Settings) -> AsyncIterator[None]:
    """Look units up in a thread, so that neither the start nor the event loop waits for them.

    Until they are known, and where Bedrock does not tell, costs are unknown.
    """
    unknown = [
        (guard.target, guard.price)
        for guard in guards
        if isinstance(guard.price, UnitPrice) and guard.price.units_per_copy is None
    ]
    lookup = asyncio.create_task(asyncio.to_thread(_look_up, unknown, settings))
    try:
        yield
    finally:
        lookup.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await lookup


def _look_up(unknown: Sequence[tuple[Target, UnitPrice]], settings: Settings) -> None:
    for target, price in unknown:
        try:
            price.units_per_copy = _units(target, settings)
        except (BotoCoreError, ClientError, OSError) as error:
            log.warning(
                "the model's units are unknown, and so is what calls cost",
                target=str(target),
                reason=type(error).__name__,
            )


def _units(target: Target, settings: Settings) -> int | None:
    client: Any = get_session().create_client(
        "bedrock",
        region_name=target.region,
        endpoint_url=str(settings.endpoint_url) if settings.endpoint_url else None,
        config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1}),
    )
    with contextlib.closing(client):
        reply = client.get_imported_model(modelIdentifier=target.model_id)
    units: int | None = reply.get("customModelUnits", {}).get("customModelUnitsPerModelCopy")
    return units
