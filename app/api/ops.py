"""Health, readiness, metrics."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.routing.dependencies import AllMetrics, AllServices, ReadinessCheck
from app.domain import errors
from app.services.model_stack.circuit_breaker import BreakerState
from app.services.model_stack.target import Gate

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class TargetState(BaseModel):
    """How one way to the model is doing, seen from this process."""

    target: Annotated[str, Field(description="Region, model id and dialect.")]
    breaker: Annotated[
        BreakerState, Field(description="`open`: it keeps failing and is left alone.")
    ]
    active: Annotated[int, Field(description="Calls under way.")]
    waiting: Annotated[int, Field(description="Requests in line.")]

    @classmethod
    def of(cls, gate: Gate) -> "TargetState":
        """Render ``gate``."""
        slots = gate.slots
        return cls(
            target=str(gate.target),
            breaker=gate.breaker.state,
            active=slots.taken,
            waiting=slots.waiting,
        )


class Ready(BaseModel):
    """The service can be sent requests."""

    status: Literal["ready"] = "ready"
    model: Annotated[str, Field(description="The configured model id.")]
    targets: Annotated[list[TargetState], Field(description="The ways to the model, in order.")]


@router.get(
    "/healthz",
    operation_id="health",
    summary="Tell that the process is alive",
    response_description="Alive.",
    responses=problem.responses(errors.InternalError),
)
async def healthz() -> Health:
    return Health()


@router.get(
    "/readyz",
    operation_id="ready",
    summary="Tell whether requests can be served",
    description="Checks that a model is configured and that AWS credentials can be found. "
    "Calls no operation of Bedrock and spends nothing.",
    response_description="Ready.",
    responses=problem.responses(errors.InternalError, errors.NotReadyError),
)
async def readyz(readiness: ReadinessCheck, found: AllServices) -> Ready:
    await readiness.check()
    return Ready(
        model=found.model.identity.id, targets=[TargetState.of(gate) for gate in found.gates]
    )


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Show Prometheus metrics",
    description="Of all worker processes together; docs/metrics.md explains each.",
    response_description="Metrics in Prometheus's text format.",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problem.responses(errors.InternalError),
    },
)
async def metrics(found: AllMetrics) -> Response:
    return Response(await found.render(), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})
