"""GET /v1/residency."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.domain.residency import HopKind, HopReport, Verdict, notes
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1", tags=["operations"])


class HopOut(DeferredModel):
    """A hop: a place that data goes to."""

    hop: Annotated[str, Field(description="Its kind and its name.")]
    kind: HopKind
    regions: Annotated[list[str], Field(description="Regions; empty if unknown.")]
    source: Annotated[
        str, Field(description="The operation of AWS that says so, or `declared`; else why not.")
    ]
    verdict: Annotated[
        Verdict, Field(description="`unknown` counts as outside; `open`: any region will do.")
    ]
    checked: Annotated[datetime, Field(description="Time of the check.")]

    @classmethod
    def from_domain(cls, report: HopReport) -> "HopOut":
        """Render ``report``."""
        return cls(
            hop=report.hop,
            kind=report.kind,
            regions=list(report.location.regions),
            source=report.location.source,
            verdict=report.verdict,
            checked=report.checked,
        )


class ResidencyOut(DeferredModel):
    """The regions where data may be, and those where it is."""

    allowed: Annotated[list[str], Field(description="Regions; any where empty.")]
    enforced: Annotated[bool, Field(description="Whether hops outside are blocked.")]
    hops: Annotated[
        list[HopOut],
        Field(description="The hops; empty if no regions are configured."),
    ]
    notes: Annotated[list[str], Field(description="Notes from licences and availability.")]


@router.get(
    "/residency",
    operation_id="residency",
    summary="Show the allowed and the actual regions of data",
    description=(
        "Lists every place that data goes to, as of the last check: at the start, then hourly."
    ),
    response_description="The hops.",
    responses=problem.responses(errors.InternalError),
)
async def residency(context: Context) -> ResidencyOut:
    sentinel, base = context.services.residency, context.services.model.identity.base
    return ResidencyOut(
        allowed=list(sentinel.allowed),
        enforced=sentinel.enforces,
        hops=[HopOut.from_domain(report) for report in sentinel.reports.values()],
        notes=list(notes(sentinel.allowed, {base.name: base.regions})),
    )
