"""`/v1/batches`: many requests in one file, in OpenAI's form."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import ConfigDict, Field

from app.api.errors import problem
from app.api.errors.documented import ADMISSION_ERRORS, JSON_BODY_ERRORS
from app.api.openai import errors as openai
from app.api.openai.files import Lifetime
from app.api.pipeline import authorization
from app.api.routing.context import Context
from app.domain import errors
from app.domain.batch import Batch, BatchEngine, BatchStatus
from app.services.batches.service import NewBatch, check_endpoint
from app.services.deferred_model import DeferredModel

router = APIRouter(prefix="/v1/batches", tags=["batches"])


class OutputExpiry(DeferredModel):
    """Lifetime of a batch's output files."""

    model_config = ConfigDict(extra="forbid", strict=True)

    anchor: Annotated[Literal["created_at"], Field(description="The only possible value.")]
    seconds: Annotated[
        Lifetime, Field(description="Lifetime in seconds from the creation of the files.")
    ]


class BatchIn(DeferredModel):
    """A batch to create."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input_file_id: Annotated[
        str,
        Field(
            max_length=64, description="Id of a file that was uploaded with the purpose `batch`."
        ),
    ]
    endpoint: Annotated[
        str,
        Field(
            max_length=100,
            description="The path that answers every row: `/v1/generate`, "
            "`/v1/chat/completions` or `/v1/tasks/{task}`.",
        ),
    ]
    completion_window: Annotated[
        str,
        Field(
            max_length=8,
            description="`1h` to `168h`, or `1d` to `7d`. Rows that are not answered by then "
            "are given up, and the answers so far are delivered.",
        ),
    ] = "24h"
    engine: Annotated[
        Literal["auto", "own", "bedrock"],
        Field(
            description="`bedrock`: Amazon Bedrock's own batch job; the batch is refused if "
            "that can't run it. `own`: this service's queue. `auto`: a batch job if possible, "
            "otherwise the queue. Not part of OpenAI's API."
        ),
    ] = "auto"
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None,
        Field(max_length=16, description="Stored and returned, otherwise ignored."),
    ] = None
    output_expires_after: Annotated[
        OutputExpiry | None,
        Field(
            description="Lifetime of the output and error files; by default the same as for "
            "other files."
        ),
    ] = None


class BatchFaultOut(DeferredModel):
    """Why a batch failed."""

    code: str
    message: str
    line: Annotated[int | None, Field(description="Line number in the input file, from 1.")]
    param: Annotated[str | None, Field(description="The faulty field.")]


class BatchFaults(DeferredModel):
    """The faults of a batch's input."""

    object: Literal["list"] = "list"
    data: list[BatchFaultOut]


class BatchRequestCounts(DeferredModel):
    """Numbers of rows."""

    total: int
    completed: Annotated[int, Field(description="Rows answered with a status below 400.")]
    failed: Annotated[int, Field(description="Rows answered with an error.")]


class InputTokenDetails(DeferredModel):
    """Token details in OpenAI's form."""

    cached_tokens: int = 0


class OutputTokenDetails(DeferredModel):
    """Token details in OpenAI's form."""

    reasoning_tokens: int = 0


class BatchUsageOut(DeferredModel):
    """Token counts of all answers."""

    input_tokens: int
    input_tokens_details: InputTokenDetails = InputTokenDetails()
    output_tokens: int
    output_tokens_details: OutputTokenDetails = OutputTokenDetails()
    total_tokens: int


class BatchJobOut(DeferredModel):
    """Amazon Bedrock's batch job."""

    id: Annotated[str | None, Field(description="The job's ARN, once it exists.")]
    status: Annotated[str | None, Field(description="Bedrock's own status.")]
    message: Annotated[str | None, Field(description="Bedrock's message about the job's end.")]


class BatchEngineOut(DeferredModel):
    """The engine that runs a batch."""

    asked: BatchEngine
    name: Literal["own", "bedrock"]
    reason: Annotated[
        str | None, Field(description="Why the rows are on this service's own queue.")
    ]
    job: BatchJobOut | None


class BatchOut(DeferredModel):
    """A batch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: Annotated[str, Field(description="The served model's id.")]
    errors: BatchFaults | None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: Annotated[str | None, Field(description="File of the rows that were answered.")]
    error_file_id: Annotated[
        str | None, Field(description="File of the rows that failed or were never answered.")
    ]
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: BatchRequestCounts
    usage: BatchUsageOut
    cost_usd: Annotated[
        float,
        Field(
            description="Cost of the answers so far whose price is known. Not part of OpenAI's API."
        ),
    ]
    unpriced_rows: Annotated[
        int, Field(description="Answers whose price is unknown. Not part of OpenAI's API.")
    ]
    metadata: dict[str, str] | None
    engine: Annotated[
        BatchEngineOut,
        Field(description="The engine that runs the batch, and why. Not part of OpenAI's API."),
    ]

    @classmethod
    def from_domain(cls, batch: Batch, model: str) -> "BatchOut":
        """Render ``batch``."""
        counts, usage = batch.counts, batch.counts.usage

        def at(status: BatchStatus) -> int | None:
            return int(batch.times[status]) if status in batch.times else None

        return cls(
            id=batch.id,
            endpoint=batch.endpoint,
            model=model,
            errors=_faults(batch),
            input_file_id=batch.input_file_id,
            completion_window=batch.window,
            status=batch.status,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            created_at=int(batch.created_at),
            in_progress_at=at(BatchStatus.IN_PROGRESS),
            expires_at=int(batch.expires_at),
            finalizing_at=at(BatchStatus.FINALIZING),
            completed_at=at(BatchStatus.COMPLETED),
            failed_at=at(BatchStatus.FAILED),
            expired_at=at(BatchStatus.EXPIRED),
            cancelling_at=at(BatchStatus.CANCELLING),
            cancelled_at=at(BatchStatus.CANCELLED),
            request_counts=BatchRequestCounts(
                total=counts.total, completed=counts.succeeded, failed=counts.failed
            ),
            usage=BatchUsageOut(
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.generation_tokens,
                total_tokens=usage.prompt_tokens + usage.generation_tokens,
            ),
            cost_usd=round(usage.cost_usd, 9),
            unpriced_rows=usage.unpriced,
            metadata=None if batch.metadata is None else dict(batch.metadata),
            engine=_engine(batch),
        )


def _faults(batch: Batch) -> BatchFaults | None:
    if not batch.faults:
        return None
    return BatchFaults(
        data=[
            BatchFaultOut(code=f.code, message=f.message, line=f.line, param=f.param)
            for f in batch.faults
        ]
    )


def _engine(batch: Batch) -> BatchEngineOut:
    native = batch.native
    job = None
    if native is not None:
        job = BatchJobOut(id=native.job_id, status=native.status, message=native.message)
    name = "bedrock" if native is not None and batch.engine_reason is None else "own"
    return BatchEngineOut(asked=batch.engine, name=name, reason=batch.engine_reason, job=job)


class BatchList(DeferredModel):
    """A page of batches."""

    object: Literal["list"] = "list"
    data: list[BatchOut]
    first_id: str | None
    last_id: str | None
    has_more: bool


BATCH_ERRORS = (errors.WorkQueueError, errors.DataKeyError, errors.InternalError)
_PASTED = "file-0000000000000000000000000000000000000"
TRIAL = """

To try it in this page:

1. Save these two lines as `rows.jsonl`:

   ```
   {"custom_id": "sky", "method": "POST", "url": "/v1/generate", "body": {"prompt": "Why is the sky blue?"}}
   {"custom_id": "sea", "method": "POST", "url": "/v1/generate", "body": {"prompt": "Why is the sea salt?"}}
   ```

2. Choose it under **files**, `POST /v1/files`, with `purpose` **batch**, and copy `id` from the answer.
3. Put it in place of `input_file_id` below, execute, and copy the batch's `id`.
4. Repeat `GET /v1/batches/{batch_id}` until `status` is `completed`. Faults are listed in `errors`.
5. Download `output_file_id` with `GET /v1/files/{file_id}/content`.

For pictures, upload them with `purpose` **vision**, write `"images": [{"file_id": "file-…"}]` into the
rows' bodies, and name `/v1/tasks/caption` or another task, in each row as `url` and below as `endpoint`.
"""  # noqa: E501 - a row is one line


def _example(**more: str) -> dict[str, Any]:
    asked = {"prompts": "/v1/generate", "captions": "/v1/tasks/caption"}
    return {
        name: {
            "summary": f"An uploaded file's rows for {endpoint}",
            "description": "Replace the id with that of your own file.",
            "value": {"input_file_id": _PASTED, "endpoint": endpoint, **more},
        }
        for name, endpoint in asked.items()
    }


@router.post(
    "",
    operation_id="createBatch",
    summary="Begin a batch",
    description="Answers each row of an uploaded file (JSON Lines with `custom_id`, `method`, "
    "`url`, `body`) as its endpoint would, when there is capacity. The file is checked first; "
    "its faults are listed in the batch's `errors`." + TRIAL,
    response_description="The batch.",
    response_model=BatchOut,
    responses=problem.documented(
        (
            *BATCH_ERRORS,
            errors.FileStoreError,
            *JSON_BODY_ERRORS,
            errors.ScopeMissingError,
            errors.FileNotFoundHereError,
            errors.FilePurposeError,
            errors.BatchEngineError,
            errors.WebhooksDisabledError,
            errors.WebhookUrlNotAllowedError,
            *ADMISSION_ERRORS,
        ),
        openai.SHAPE,
    ),
)
async def begin(
    context: Context,
    body: Annotated[BatchIn, Body(openapi_examples=_example(completion_window="24h"))],
    webhook_url: Annotated[
        str,
        Header(
            alias="X-Webhook-Url",
            max_length=2000,
            description="The URL that receives a signed event when the batch has ended; see "
            "docs/jobs.md.",
        ),
    ] = "",
) -> Response:
    authorization.check_scope(
        context.call.caller, authorization.rule_for(body.endpoint, authorization.RULES)
    )
    batch = await context.services.batches.begin(
        NewBatch(
            context.lasting_caller,
            body.endpoint,
            body.input_file_id,
            body.completion_window,
            body.metadata,
            webhook_url or None,
            BatchEngine(body.engine),
            None if body.output_expires_after is None else body.output_expires_after.seconds,
        )
    )
    context.services.worker.wake()
    return _json(context, batch)


class BatchEstimateIn(DeferredModel):
    """A batch to estimate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input_file_id: Annotated[
        str, Field(max_length=64, description="Id of a file with the purpose `batch`.")
    ]
    endpoint: Annotated[str, Field(max_length=100, description="The path that answers every row.")]


class BatchEstimateCost(DeferredModel):
    """US dollars, at the listed price."""

    least: Annotated[float, Field(description="Cost with empty answers.")]
    most: Annotated[float, Field(description="Cost with the longest answers.")]


class BatchEstimateOut(DeferredModel):
    """Estimated calls, tokens, cost and time of a batch, from a sample of its rows."""

    object: Literal["batch.estimate"] = "batch.estimate"
    rows: int
    sampled: Annotated[
        int, Field(description="Number of rows that were examined, spread over the file.")
    ]
    refused: Annotated[
        int, Field(description="Rows of the sample that would be answered with an error.")
    ]
    calls: Annotated[int, Field(description="Calls of the model.")]
    prompt_tokens: int
    generation_tokens: Annotated[int, Field(description="Maximum tokens of the answers.")]
    tiles: Annotated[int, Field(description="560-pixel tiles of pictures.")]
    cost_usd: Annotated[
        BatchEstimateCost | None, Field(description="The cost; null if the price is unknown.")
    ]
    windows: Annotated[
        int | None,
        Field(description="Five-minute windows of one copy, if the model is billed by these."),
    ]
    seconds: Annotated[
        float | None,
        Field(
            description="Estimated seconds, from the rows answered so far; null until there "
            "are some."
        ),
    ]


@router.post(
    "/estimate",
    operation_id="estimateBatch",
    summary="Estimate a batch",
    description="Checks the whole input, and processes up to 20 of its rows as far as the call "
    "of the model. Nothing is spent. Upload the input first, as described at `POST "
    "/v1/batches`.",
    response_description="The estimate.",
    response_model=BatchEstimateOut,
    responses=problem.documented(
        (
            *BATCH_ERRORS,
            errors.FileStoreError,
            *JSON_BODY_ERRORS,
            errors.ScopeMissingError,
            errors.FileNotFoundHereError,
            errors.FilePurposeError,
            *ADMISSION_ERRORS,
        ),
        openai.SHAPE,
    ),
)
async def estimate(
    context: Context, body: Annotated[BatchEstimateIn, Body(openapi_examples=_example())]
) -> Response:
    authorization.check_scope(
        context.call.caller, authorization.rule_for(body.endpoint, authorization.RULES)
    )
    check_endpoint(body.endpoint)
    estimates = context.services.batch_estimates
    assert estimates is not None
    estimate = await estimates.estimate(context.call.caller, body.input_file_id, body.endpoint)
    facts = asdict(estimate)
    least, most = facts.pop("least_usd"), facts.pop("most_usd")
    cost = None if least is None or most is None else BatchEstimateCost(least=least, most=most)
    out = BatchEstimateOut(**facts, cost_usd=cost)
    return Response(orjson.dumps(out.model_dump(mode="json")), media_type="application/json")


@router.get(
    "",
    operation_id="listBatches",
    summary="List batches",
    description="Lists the caller's own batches, newest first.",
    response_description="A page of batches.",
    responses=problem.documented((*BATCH_ERRORS, errors.InvalidParameterError), openai.SHAPE),
)
async def listed(
    context: Context,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[
        str | None, Query(max_length=64, description="Id of the last batch on the previous page.")
    ] = None,
) -> BatchList:
    page, more = await context.services.batches.page(context.call.caller.id, limit, after)
    model = context.services.model.identity.id
    data = [BatchOut.from_domain(batch, model) for batch in page]
    return BatchList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=more,
    )


@router.get(
    "/{batch_id}",
    operation_id="getBatch",
    summary="Show a batch",
    response_description="The batch, with its counts and cost so far.",
    responses=problem.documented((*BATCH_ERRORS, errors.BatchNotFoundError), openai.SHAPE),
)
async def shown(context: Context, batch_id: str) -> BatchOut:
    batch = await context.services.batches.get(context.call.caller.id, batch_id)
    return BatchOut.from_domain(batch, context.services.model.identity.id)


@router.post(
    "/{batch_id}/cancel",
    operation_id="cancelBatch",
    summary="Cancel a batch",
    description=(
        "No more rows are begun. Rows in progress are finished, and the answers so far are "
        "delivered."
    ),
    response_description="The batch.",
    response_model=BatchOut,
    responses=problem.documented(
        (
            *BATCH_ERRORS,
            errors.BatchNotFoundError,
            errors.BatchStateError,
            *ADMISSION_ERRORS,
        ),
        openai.SHAPE,
    ),
)
async def cancel(context: Context, batch_id: str) -> Response:
    batch = await context.services.batches.cancel(context.call.caller.id, batch_id)
    context.services.worker.wake()
    return _json(context, batch)


def _json(context: Context, batch: Batch) -> Response:
    out = BatchOut.from_domain(batch, context.services.model.identity.id)
    return Response(orjson.dumps(out.model_dump(mode="json")), media_type="application/json")
