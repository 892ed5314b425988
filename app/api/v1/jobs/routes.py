"""Routes of `/v1/jobs`: lists, shows, follows and deletes jobs."""

import math
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.responses import sse
from app.api.responses.sse import EventStream
from app.api.routing.context import Context, RequestContext
from app.api.v1.jobs import serialize
from app.domain import errors
from app.domain.job import Job, JobStatus
from app.domain.webhook import Delivery, DeliveryStatus
from app.services.deferred_model import DeferredModel
from app.services.webhooks.service import event_id

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

LONGEST_WAIT = 60
"""Maximum seconds that a request waits for a job."""
_ERRORS = problem.responses(
    errors.JobNotFoundError,
    errors.InvalidParameterError,
    errors.InternalError,
    errors.WorkQueueError,
    errors.DataKeyError,
)


class JobResponse(DeferredModel):
    """The endpoint's answer."""

    status_code: int
    media_type: str
    body: Annotated[Any, Field(description="The answer, or a problem document.")]


class JobUsage(DeferredModel):
    """The answer's tokens and cost."""

    prompt_tokens: int
    generation_tokens: int
    cost_usd: Annotated[
        float, Field(description="Cost at the listed price, as far as it is known.")
    ]


class JobWebhook(DeferredModel):
    """The state of the job's webhook."""

    url: str
    status: DeliveryStatus
    attempts: int
    event_id: str | None


class JobOut(DeferredModel):
    """A request that is answered later."""

    id: str
    object: Literal["job"]
    status: Annotated[JobStatus, Field(description="`failed`: the response is an error.")]
    path: Annotated[str, Field(description="The path that was requested.")]
    created_at: Annotated[int, Field(description="Time of creation, seconds since the epoch.")]
    ended_at: int | None
    expires_at: Annotated[
        int | None,
        Field(description="Time at which the answer is deleted, in seconds since the epoch."),
    ]
    progress: Annotated[
        dict[str, Any] | None,
        Field(description="A running task's progress, as in its last event."),
    ]
    response: JobResponse | None
    usage: JobUsage
    webhook: JobWebhook | None


class JobList(DeferredModel):
    """The caller's jobs, without their responses."""

    object: Literal["list"] = "list"
    data: list[JobOut]
    has_more: bool


class Page(BaseModel):
    """A page of jobs."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str | None, Field(description="Id of the job before the first one.")] = None


@router.get(
    "",
    operation_id="listJobs",
    summary="List the caller's jobs",
    description="Lists the caller's jobs, newest first, without their responses.",
    response_description="The jobs.",
    response_model=JobList,
    responses=_ERRORS,
)
async def list_jobs(context: Context, page: Annotated[Page, Query()]) -> Response:
    jobs = await context.services.jobs.list(context.call.caller.id, page.limit + 1, page.after)
    shown = [serialize.outline(job) for job in jobs[: page.limit]]
    body = {"object": "list", "data": shown, "has_more": len(jobs) > page.limit}
    return Response(orjson.dumps(body), media_type="application/json")


@router.get(
    "/{job_id}",
    operation_id="getJob",
    summary="Show a job, or wait for it",
    description="With `wait` the answer is sent as soon as the job has ended, and after that "
    "many seconds at the latest.",
    response_description="The job, with its response once it has ended.",
    response_model=JobOut,
    responses=_ERRORS,
)
async def get_job(
    context: Context,
    job_id: str,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT, description="Maximum seconds to wait.")
    ] = 0,
) -> Response:
    services, owner = context.services, context.call.caller.id
    # The wait has a bound of its own, which may be later than a request's deadline.
    async with services.drain.before(math.inf):
        job = await services.jobs.wait(owner, job_id, wait)
    delivery = await _delivery(context, job)
    return Response(serialize.job(job, delivery), media_type="application/json")


async def _delivery(context: RequestContext, job: Job) -> Delivery | None:
    if job.webhook is None or not job.status.ended:
        return None
    event = event_id(job.id, f"job.{job.status}")
    return await context.services.webhooks.delivery(context.call.caller.id, event)


@router.get(
    "/{job_id}/events",
    operation_id="jobEvents",
    summary="Follow a job",
    description=(
        "Sends the job's events from its beginning, as the endpoint's stream would: any number "
        "of `progress`, then exactly one of `done` (for `/v1/generate`), `result` (for all "
        "others) or `error`, with the whole answer. A client that was disconnected continues "
        "with `Last-Event-ID`."
    ),
    response_description="The events.",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **_ERRORS},
)
async def job_events(
    context: Context,
    job_id: str,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID")] = "",
) -> Response:
    owner = context.call.caller.id
    # This raises the 404 for an unknown job.
    await context.services.jobs.get(owner, job_id)
    after = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 10 else 0
    return EventStream(_events(context, job_id, after), context.services.timing.heartbeat)


async def _events(context: RequestContext, job_id: str, after: int) -> AsyncGenerator[bytes]:
    jobs, owner = context.services.jobs, context.call.caller.id
    try:
        async for event in jobs.events(owner, job_id, after):
            yield serialize.numbered(event) + sse.event(event.name, event.data)
        yield sse.event(*serialize.terminal(await jobs.get(owner, job_id)))
    except errors.ServiceError as error:
        description = problem.describe(error, context.id)
        yield sse.event("error", description.model_dump_json().encode())


@router.delete(
    "/{job_id}",
    operation_id="deleteJob",
    summary="Cancel and delete a job",
    description=(
        "Ends the job: if it is still running, its work and its call of the model stop within a "
        "second. Its request, its answer and its events are deleted."
    ),
    response_description="The job is deleted.",
    status_code=204,
    response_class=Response,
    responses=_ERRORS,
)
async def delete_job(context: Context, job_id: str) -> Response:
    await context.services.jobs.remove(context.call.caller.id, job_id)
    return Response(status_code=204)
