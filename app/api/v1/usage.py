"""GET /v1/usage: requests, tokens and cost by day."""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.routing.context import Context
from app.domain import errors
from app.domain.access import Caller, Scope
from app.domain.usage import UsageQuery, UsageRow
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1", tags=["operations"])

MAX_DAYS = 400


class UsageOut(DeferredModel):
    """Usage of one model by one caller for one task on one day."""

    day: Annotated[date, Field(description="The day in UTC.")]
    model: str
    key: Annotated[str, Field(description="An API key's id or a token's subject.")]
    task: str
    requests: int
    prompt_tokens: int
    generation_tokens: int
    images: int
    tiles: int
    cost_usd: Annotated[float, Field(description="Cost at the listed price.")]
    unpriced: Annotated[
        int,
        Field(description="Requests whose price is unknown, which `cost_usd` does not include."),
    ]

    @classmethod
    def from_domain(cls, row: UsageRow) -> "UsageOut":
        """Render ``row``."""
        key, counts = row.key, row.counts
        return cls(
            day=key.day,
            model=key.model,
            key=key.caller,
            task=key.task,
            requests=counts.requests,
            prompt_tokens=counts.prompt_tokens,
            generation_tokens=counts.generation_tokens,
            images=counts.images,
            tiles=counts.tiles,
            cost_usd=round(counts.cost_usd, 9),
            unpriced=counts.unpriced,
        )


class UsageList(DeferredModel):
    """Usage by day, model, key and task."""

    data: list[UsageOut]


class Period(BaseModel):
    """A period of days."""

    first: Annotated[
        date | None, Field(description="First day, in UTC; by default 30 days ago.")
    ] = None
    last: Annotated[date | None, Field(description="Last day, in UTC; by default today.")] = None
    key: Annotated[
        str | None,
        Field(
            description="Only the usage of this key; one that is not the caller's "
            "own needs the scope `admin`."
        ),
    ] = None

    def query(self, caller: Caller) -> UsageQuery:
        """Return the query, if ``caller`` may make it. Raises a RequestError."""
        last = self.last or datetime.now(UTC).date()
        first = self.first or date.fromordinal(max(1, last.toordinal() - 30))
        if not 0 <= (last - first).days < MAX_DAYS:
            raise errors.InvalidParameterError(f"first, last: 1 to {MAX_DAYS} days, in order")
        return UsageQuery(first, last, visible(self.key, caller))


def visible(wanted: str | None, caller: Caller) -> str | None:
    """Return the caller whose usage is shown; None for all callers, which needs ``admin``."""
    if Scope.ADMIN in caller.scopes:
        return wanted
    if wanted not in (None, caller.id):
        raise errors.ScopeMissingError("another key's usage needs the scope admin")
    return caller.id


@router.get(
    "/usage",
    operation_id="usage",
    summary="Report usage",
    description=(
        "Reports requests, tokens, images, tiles and cost by day, model, key and task: for "
        "every key with the scope `admin`, otherwise for the caller's own."
    ),
    response_description="Usage, oldest first.",
    responses=problem.responses(
        errors.InvalidParameterError, errors.InternalError, errors.UsageStoreError
    ),
)
async def usage(context: Context, period: Annotated[Period, Query()]) -> UsageList:
    rows = await context.services.operations.usage.rows(period.query(context.call.caller))
    return UsageList(data=[UsageOut.from_domain(row) for row in rows])
