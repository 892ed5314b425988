"""What route functions ask for in their signatures.

All are coroutines: FastAPI runs plain functions in a thread each.
"""

import asyncio
from typing import Annotated, TypedDict

from fastapi import Depends, Header, Request

from app.domain.ports import Readiness
from app.services.estimate import EstimateService
from app.services.generation import GenerationService
from app.services.registry import ServedModel, Services
from app.services.usage import UsageLedger
from app.telemetry.metrics import Metrics


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


async def services(request: Request) -> Services:
    """Return the use cases opened in the lifespan."""
    found: Services = request.state.services
    return found


AllServices = Annotated[Services, Depends(services)]


async def _generations(found: AllServices) -> GenerationService:
    return found.generations


async def _readiness(found: AllServices) -> Readiness:
    return found.readiness


async def _model(found: AllServices) -> ServedModel:
    return found.model


async def _estimates(found: AllServices) -> EstimateService:
    return found.estimates


async def _ledger(found: AllServices) -> UsageLedger:
    return found.operations.usage


async def _metrics(found: AllServices) -> Metrics:
    return found.operations.metrics


async def _deadline(
    found: AllServices,
    seconds: Annotated[
        float | None,
        Header(
            alias="X-Request-Timeout",
            gt=0,
            description="Seconds until the whole answer must be there. Can only shorten the "
            "service's own deadline.",
        ),
    ] = None,
) -> float:
    allowed = found.timing.request
    return asyncio.get_running_loop().time() + min(allowed, seconds or allowed)


Generations = Annotated[GenerationService, Depends(_generations)]
ReadinessCheck = Annotated[Readiness, Depends(_readiness)]
Deadline = Annotated[float, Depends(_deadline)]
"""In the event loop's time; see `app.services.deadline`."""
Estimates = Annotated[EstimateService, Depends(_estimates)]
Ledger = Annotated[UsageLedger, Depends(_ledger)]
AllMetrics = Annotated[Metrics, Depends(_metrics)]
Model = Annotated[ServedModel, Depends(_model)]
