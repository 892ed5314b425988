"""Makes the handlers of long-running work: rows of batches, jobs and webhooks."""

from collections.abc import Callable

from app.domain.batch import Batch
from app.domain.generation import ModelRequest
from app.domain.ports import VisionModel
from app.services.batches import input_file
from app.services.batches import row as rows
from app.services.batches.estimate import BatchEstimates, Pace
from app.services.batches.handler import RowHandler, RowShare
from app.services.batches.intake import IntakeLimits
from app.services.batches.keeper import BatchKeeper
from app.services.batches.native import NativeBatches
from app.services.batches.output import BatchOutput
from app.services.batches.row import Place
from app.services.jobs.handler import JobHandler
from app.services.registry import Services
from app.services.webhooks.handler import WebhookHandler
from app.services.work.endpoint import Endpoint, EndpointRequest
from app.services.work.handler import WorkHandler
from app.settings import Settings
from app.telemetry.metrics import JOBS, WEBHOOK_ATTEMPTS


def work_handlers(
    settings: Settings, services: Services, endpoint: Endpoint, pace: Pace
) -> tuple[WorkHandler, ...]:
    """Return a handler for each kind of work; jobs and rows are answered by ``endpoint``."""
    count = services.operations.metrics.count
    return (
        JobHandler(
            services.jobs,
            endpoint,
            settings.job_concurrency if settings.work_on_queue else 0,
            settings.job_timeout,
            lambda status: count(JOBS, outcome=status),
            most_pages=settings.max_job_pages,
        ),
        _row_handler(settings, services, endpoint, pace),
        WebhookHandler(services.webhooks, lambda status: count(WEBHOOK_ATTEMPTS, outcome=status)),
    )


def batch_estimates(
    settings: Settings,
    services: Services,
    pace: Pace,
    asking: Callable[[VisionModel], Endpoint],
) -> BatchEstimates:
    """Return the service that estimates a batch's cost and time.

    ``asking`` makes an endpoint that calls a given model.
    """
    return BatchEstimates(
        services.files,
        services.estimates.counter,
        services.estimates.price,
        _intake_limits(settings),
        pace,
        asking,
        settings.request_timeout,
    )


def _intake_limits(settings: Settings) -> IntakeLimits:
    """Return the limits of a batch's input."""
    return IntakeLimits(settings.max_batch_rows, settings.max_body_bytes)


def _row_handler(
    settings: Settings, services: Services, endpoint: Endpoint, pace: Pace
) -> RowHandler:
    """Return the handler of rows of batches."""

    async def announce(batch: Batch) -> None:
        if batch.webhook is not None:
            kind = f"batch.{batch.status}"
            await services.webhooks.announce(batch.owner, batch.webhook, kind, batch.id)
            services.worker.wake()

    metrics = services.operations.metrics

    native = _native_batches(settings, services, endpoint)
    keeper = BatchKeeper(
        services.queue,
        services.files,
        services.worker.name,
        _intake_limits(settings),
        endpoint.unknown_fields,
        announce,
        services.worker.wake,
        metrics,
        native,
        BatchOutput(services.queue, services.files),
    )
    most = settings.batch_concurrency if settings.work_on_queue else 0
    share = RowShare(settings.batch_share, most, services.guards)
    return RowHandler(
        services.queue,
        services.files,
        endpoint,
        keeper,
        share,
        metrics,
        settings.longest_request,
        pace,
    )


def _native_batches(settings: Settings, services: Services, endpoint: Endpoint) -> NativeBatches:
    """Return the service that runs batches as Amazon Bedrock's own batch jobs."""

    async def captured(batch: Batch, place: Place, position: int) -> ModelRequest | None:
        stored = await input_file.of_batch(services.files, batch)
        line = await services.files.read_range(stored, place.start, place.end)
        body = rows.parsed(line, batch.endpoint).body
        if body.get("image_strategy") == "each":
            return None
        identity = rows.request_id(batch.id, position)
        request = await endpoint.capture(
            EndpointRequest(
                identity,
                batch.endpoint,
                line,
                batch.caller,
                settings.longest_request,
                body,
            )
        )
        plain = request is not None and request.form is None and request.logprobs is None
        return request if plain else None

    return NativeBatches(
        services.queue,
        services.batch_jobs,
        services.batches.no_batch_jobs,
        settings.batch_jobs_least,
        settings.batch_jobs_poll,
        captured,
    )
