"""The application: its lifespan, middleware, routers and error handlers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TypedDict

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app import __version__
from app.api import events, ops, well_known
from app.api.bedrock import routes as bedrock
from app.api.errors import dialects
from app.api.openai import batches, chat, files, models, uploads
from app.api.openai.responses import routes as responses
from app.api.openapi import document, security, swagger_ui
from app.api.pipeline import authorization
from app.api.pipeline.admission import WINDOW, AdmissionMiddleware
from app.api.pipeline.authorization import Gatekeeper, Rule
from app.api.pipeline.callers import Callers
from app.api.pipeline.in_process import InProcess
from app.api.pipeline.provenance import Provenance
from app.api.pipeline.receipts import ReceiptMiddleware
from app.api.pipeline.request_body import BodyTiming
from app.api.pipeline.request_context import RequestContextMiddleware
from app.api.pipeline.response_headers import CORS_ANSWER_HEADERS
from app.api.pipeline.unhandled_errors import UnhandledErrorMiddleware
from app.api.routing.application import Application
from app.api.routing.dispatch import Dispatcher
from app.api.v1 import audit, cache, callers, estimate, images, residency, usage, webhooks
from app.api.v1.generate import routes as generate
from app.api.v1.jobs import routes as jobs
from app.api.v1.rag import routes as rag
from app.api.v1.tasks import routes as tasks
from app.domain.ports import VisionModel
from app.server.load_shedding import LoadShedder
from app.services.batches.estimate import Pace
from app.services.concurrency.admission_queue import AdmissionQueue
from app.services.registry import Services
from app.settings import Settings
from app.wiring.work_handlers import batch_estimates, work_handlers

OpenServices = Callable[[Settings], AbstractAsyncContextManager[Services]]

ROUTERS = (
    generate.router,
    tasks.router,
    rag.router,
    estimate.router,
    images.router,
    models.router,
    usage.router,
    residency.router,
    audit.router,
    callers.router,
    cache.router,
    webhooks.router,
    jobs.router,
    chat.router,
    files.router,
    uploads.router,
    batches.router,
    responses.router,
    bedrock.router,
    ops.router,
    well_known.router,
)

FILES = "/v1/files"
"""Path whose request bodies are streamed to the route."""

_DESCRIPTION = """\
Ask Llama 3.2 11B Vision on Amazon Bedrock about pictures.

Errors are problem details (RFC 9457) with a stable `code`. Every answer carries `X-Request-Id`.
"""

_TAGS = [
    {"name": "generate", "description": "Prompts with or without pictures."},
    {"name": "tasks", "description": "Typed answers to common questions about pictures."},
    {"name": "rag", "description": "Answers from documents and pictures, with citations."},
    {"name": "images", "description": "The preparation of pictures for the model."},
    {"name": "openai", "description": "For programs that use an OpenAI SDK."},
    {"name": "jobs", "description": "Answers that are fetched later, and webhooks."},
    {
        "name": "batches",
        "description": "Many requests in one file, answered when there is capacity.",
    },
    {"name": "files", "description": "Uploaded files, which requests can name."},
    {"name": "models", "description": "The served model."},
    {"name": "operations", "description": "For load balancers and operators."},
]


class State(TypedDict):
    """The state that the lifespan passes to the server and to every request."""

    services: Services
    load_shedder: LoadShedder


def create_app(settings: Settings, open_services: OpenServices) -> Application:
    """Build the application. Nothing is opened until its lifespan starts."""
    queue = AdmissionQueue(settings.max_in_progress, settings.max_wait / 2)
    callers = Callers(settings.authenticates)
    rules = authorization.rules(
        public_docs=settings.public_docs or not settings.authenticates,
        public_readiness=settings.public_readiness,
        events=settings.s3_event_caller is not None,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        dispatcher.compile(app)
        async with (
            open_services(settings) as opened,
            running_work(settings, opened, dispatcher, rules) as services,
        ):
            yield {
                "services": services,
                "load_shedder": LoadShedder(queue, callers, services),
            }

    app = framework(settings, rules, lifespan)
    dispatcher = Dispatcher(app.framework)
    app.front = front(dispatcher, queue, callers, settings, rules)
    return app


@asynccontextmanager
async def running_work(
    settings: Settings, services: Services, dispatcher: Dispatcher, rules: tuple[Rule, ...]
) -> AsyncIterator[Services]:
    """Run the work on the queue, whose items call this application's own operations.

    Yields the services with batch estimates, which need those operations too.
    """
    pace = Pace(settings.batch_concurrency)
    endpoint = InProcess(dispatcher, services, rules)

    def asking(model: VisionModel) -> InProcess:
        return InProcess(dispatcher, services.asking(model), rules)

    async with services.worker.running(work_handlers(settings, services, endpoint, pace)):
        yield replace(services, batch_estimates=batch_estimates(settings, services, pace, asking))


def framework(
    settings: Settings,
    rules: tuple[Rule, ...],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[State]],
) -> Application:
    """Return the application with its routes, error handlers and OpenAPI document."""
    app = Application(
        title="Llama Vision on Bedrock",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        # FastAPI would render these on the event loop; `swagger_ui` serves them instead.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        separate_input_output_schemas=False,
        # FastAPI's redirects name the Host that the client sent; `Dispatcher` redirects instead.
        redirect_slashes=False,
    )
    for router in ROUTERS:
        # FastAPI's include_router would analyse each route again for each application.
        app.router.routes.extend(router.routes)
    if settings.s3_event_caller is not None:
        app.router.routes.extend(events.router.routes)
    swagger_ui.install(app)
    dialects.install(app)
    document.install(app)
    security.install(app, rules)
    return app


def front(
    dispatcher: ASGIApp,
    queue: AdmissionQueue,
    callers: Callers,
    settings: Settings,
    rules: tuple[Rule, ...],
) -> ASGIApp:
    """Stack the middleware in front of ``dispatcher``. Read from the inside out."""
    pipeline: ASGIApp = UnhandledErrorMiddleware(
        AdmissionMiddleware(
            dispatcher,
            queue=queue,
            gatekeeper=Gatekeeper(rules),
            callers=callers,
            provenance=Provenance(
                settings.reached_by, frozenset(map(str.encode, settings.allowed_origins))
            ),
            max_bytes=settings.max_body_bytes,
            direct_uploads=settings.files_store == "s3",
            timing=BodyTiming(settings.body_timeout, settings.body_least_rate),
            # The multipart form around the file adds some bytes.
            streamed={FILES: settings.max_file_bytes + WINDOW},
        )
    )
    if settings.receipt_key_file is not None:
        pipeline = ReceiptMiddleware(pipeline)
    if not settings.allowed_origins:
        return RequestContextMiddleware(pipeline)
    return RequestContextMiddleware(
        CORSMiddleware(
            pipeline,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST", "DELETE"),
            # SDKs add headers with each version; the check is on the origin.
            allow_headers=("*",),
            expose_headers=CORS_ANSWER_HEADERS,
        )
    )
