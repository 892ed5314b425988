"""What route functions ask for in their signatures.

All are coroutines: FastAPI runs plain functions in a thread each.
"""

from typing import Annotated

from fastapi import Depends, Header, Request

from app.api.pipeline import deadline
from app.domain.access import ANONYMOUS, current_call
from app.domain.generation import Terms
from app.domain.ports import Readiness
from app.services.generation.dry_run import PreparationService
from app.services.generation.estimate import EstimateService
from app.services.generation.service import GenerationService
from app.services.registry import ServedModel, Services
from app.services.usage.ledger import UsageLedger
from app.telemetry.metrics import Metrics


async def services(request: Request) -> Services:
    """Return the use cases opened in the lifespan."""
    found: Services = request.state.services
    return found


AllServices = Annotated[Services, Depends(services)]


async def _generations(found: AllServices) -> GenerationService:
    return found.generations


async def _preparations(found: AllServices) -> PreparationService:
    return found.preparations


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


# Read before this, by `deadline.of`; here for the document and the refusal of what is none.
_Timeout = Annotated[
    deadline.Seconds | None,
    Header(
        alias=deadline.HEADER,
        description="Seconds until the whole answer must be there. Can only shorten the service's "
        "own deadline.",
    ),
]


async def _deadline(request: Request, _seconds: _Timeout = None) -> float:
    found: float = request.scope["state"][deadline.STATE]
    return found


async def _terms(
    request: Request,
    _seconds: _Timeout = None,
    second_bill: Annotated[
        bool,
        Header(
            alias="X-Allow-Second-Bill",
            description="Try again also where the first call may have been billed: after a read "
            "timeout or a broken connection.",
        ),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="Requests with the same key and body share one call of the model and its "
            "answer, a task's with all its calls, for ten minutes. A stream then carries the whole "
            "answer in one piece. The same key with another body is refused.",
        ),
    ] = None,
) -> Terms:
    caller = current_call().caller
    # Where callers are not told apart, their addresses are.
    address = request.scope.get("client") or ("",)
    return Terms(
        caller=address[0] if caller is ANONYMOUS else caller.id,
        deadline=request.scope["state"][deadline.STATE],
        second_bill=second_bill,
        idempotency_key=idempotency_key,
    )


Generations = Annotated[GenerationService, Depends(_generations)]
Preparations = Annotated[PreparationService, Depends(_preparations)]
ReadinessCheck = Annotated[Readiness, Depends(_readiness)]
Estimates = Annotated[EstimateService, Depends(_estimates)]
Ledger = Annotated[UsageLedger, Depends(_ledger)]
AllMetrics = Annotated[Metrics, Depends(_metrics)]
AskingTerms = Annotated[Terms, Depends(_terms)]
Deadline = Annotated[float, Depends(_deadline)]
"""In the event loop's time."""
Model = Annotated[ServedModel, Depends(_model)]
