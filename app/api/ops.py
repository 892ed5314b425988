"""Routes for operators: health, readiness and metrics."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.services.deferred_model import DeferredModel
from app.services.model_stack.circuit_breaker import BreakerState
from app.services.model_stack.cold_start import ModelState
from app.services.model_stack.target import TargetGuard

router = APIRouter(tags=["operations"])


class Health(DeferredModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class TargetState(DeferredModel):
    """The state of one target, as this process sees it."""

    target: Annotated[str, Field(description="Region, model id and dialect.")]
    breaker: Annotated[
        BreakerState,
        Field(
            description="State of the circuit breaker. `open`: the target keeps "
            "failing and is not called."
        ),
    ]
    active: Annotated[int, Field(description="Calls in progress.")]
    waiting: Annotated[int, Field(description="Requests waiting for the target.")]
    model: Annotated[
        ModelState,
        Field(
            description="`loading`: the model was scaled to zero and is being loaded, which is "
            "not a fault. `idle`: it was not called for five minutes, so an imported model may "
            "have been scaled to zero."
        ),
    ]
    loading_seconds: Annotated[
        float | None, Field(description="Seconds since the cold start in progress began.")
    ]
    last_starts_seconds: Annotated[
        list[float], Field(description="Durations of the last cold starts, oldest first.")
    ]

    @classmethod
    def from_domain(cls, guard: TargetGuard) -> "TargetState":
        """Render ``guard``."""
        slots, starts = guard.slots, guard.starts
        loading = starts.loading_for
        return cls(
            target=str(guard.target),
            breaker=guard.breaker.state,
            active=slots.taken,
            waiting=slots.waiting,
            model=starts.state,
            loading_seconds=None if loading is None else round(loading, 1),
            last_starts_seconds=[round(seconds, 1) for seconds in starts.took],
        )


class Ready(DeferredModel):
    """The service can take requests."""

    status: Literal["ready"] = "ready"
    model: Annotated[str, Field(description="The configured model id.")]
    dialect_reason: Annotated[str, Field(description="The reason for the first target's dialect.")]
    targets: Annotated[list[TargetState], Field(description="The targets, in order.")]
    lifecycle: Annotated[list[str], Field(description="Notices about the ends of models.")]
    outside_residency: Annotated[
        list[str], Field(description="Hops outside the allowed regions; see docs/residency.md.")
    ]


@router.get(
    "/healthz",
    operation_id="health",
    summary="Check that the process is alive",
    response_description="Alive.",
    responses=problem.responses(errors.InternalError),
)
async def healthz() -> Health:
    return Health()


@router.get(
    "/readyz",
    operation_id="ready",
    summary="Check whether requests can be served",
    description="Checks that a model is configured and that AWS credentials can be found. "
    "Calls no operation of Bedrock and spends nothing.",
    response_description="Ready.",
    responses=problem.responses(errors.InternalError, errors.NotReadyError),
)
async def readyz(context: Context) -> Ready:
    services = context.services
    await services.readiness.check()
    return Ready(
        model=services.model.identity.id,
        dialect_reason=services.model.dialect_reason,
        targets=[TargetState.from_domain(guard) for guard in services.guards],
        lifecycle=list(services.lifecycle.notices()),
        outside_residency=list(map(str, services.residency.violations())),
    )


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Show Prometheus metrics",
    description=(
        "Returns the metrics of all worker processes together. docs/metrics.md explains each of "
        "them."
    ),
    response_description="Metrics in Prometheus's text format.",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problem.responses(errors.InternalError),
    },
)
async def metrics(context: Context) -> Response:
    rendered = await context.services.operations.metrics.render()
    return Response(rendered, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})
