"""GET /v1/residency: the regions where data may be and is."""

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
    """A hop: a place to which data goes."""

    hop: Annotated[str, Field(description="The hop's kind and name.")]
    kind: HopKind
    regions: Annotated[list[str], Field(description="The hop's regions; empty if unknown.")]
    source: Annotated[
        str,
        Field(
            description="The AWS operation that returned the regions, or `declared`; "
            "otherwise why they are unknown."
        ),
    ]
    verdict: Annotated[
        Verdict, Field(description="`unknown` counts as outside; `open`: any region is allowed.")
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
    """The regions where data may be, and the hops where it is."""

    allowed: Annotated[
        list[str], Field(description="The allowed regions; empty if any is allowed.")
    ]
    enforced: Annotated[bool, Field(description="Whether hops outside are blocked.")]
    hops: Annotated[
        list[HopOut],
        Field(description="The hops; empty if no regions are configured."),
    ]
    notes: Annotated[list[str], Field(description="Notes about licences and availability.")]


@router.get(
    "/residency",
    operation_id="residency",
    summary="Show the allowed and the actual regions of data",
    description=(
        "Lists every place to which data goes, as of the last check. Checks run at the start "
        "and then hourly by default."
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
