"""Requests from within the service: rows of batches and jobs.

They reach the same operations as requests over HTTP, with the same context, and leave the same
records in logs, metrics and usage. Only what concerns connections is left out: admission and CORS.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import Response

from app.api.errors import dialects
from app.api.pipeline.authorization import Rule, check_scope, rule_for
from app.api.routing import headers as request_headers
from app.api.routing.context import CONTEXT, RequestContext
from app.api.routing.decode import ReadBody
from app.api.routing.dispatch import Dispatcher
from app.api.v1.tasks import serialize
from app.domain.access import ANONYMOUS, Call, Resource
from app.domain.errors import InternalError, NotFoundError, ServiceError
from app.domain.generation import ModelRequest
from app.services.model_stack import batch_answers, paid_answers
from app.services.registry import Services
from app.services.task_runner.request import Progress
from app.services.work.endpoint import EndpointAnswer, EndpointRequest, OnEvent
from app.telemetry import RequestRecord, recording

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class InProcess:
    """The `Endpoint` that answers with this service's own operations."""

    dispatcher: Dispatcher
    services: Services
    rules: tuple[Rule, ...]

    def unknown_fields(self, path: str, body: Mapping[str, object]) -> list[str]:
        """Return the names of the fields of ``body`` that the endpoint would refuse as unknown."""
        operation, _ = self.dispatcher.operation(path)
        names = None if operation is None else operation.field_names
        return [] if names is None else [name for name in body if name not in names]

    async def answer(self, request: EndpointRequest) -> EndpointAnswer:
        """Return the operation's answer; errors are rendered in the dialect of the path."""
        context = self._context(request)
        record = context.record
        with recording(record):
            try:
                answer = await self._answer(context, request)
            finally:
                record.duration_ms = record.elapsed_ms()
                for sink in self.services.operations.sinks:
                    sink(record)
        return answer

    async def capture(self, request: EndpointRequest) -> ModelRequest | None:
        """Return the request for the model without sending it; see `Endpoint`."""
        context = self._context(request)
        with recording(context.record), batch_answers.capturing() as capture:
            try:
                await self._response(context, request, counted=False)
            except batch_answers.CapturedError:
                return capture.request
            except (*dialects.EXPECTED, ExceptionGroup):
                # The request will be answered with this error, which costs nothing to repeat. An
                # ExceptionGroup means several calls at a time, which can't be one record.
                return None
        return None

    async def _answer(self, context: RequestContext, request: EndpointRequest) -> EndpointAnswer:
        error: ServiceError | None = None
        try:
            async with forwarded_progress(context, request.on_event):
                with (
                    batch_answers.answering(request.completion),
                    paid_answers.keeping(request.paid),
                ):
                    response = await self._response(context, request)
        except dialects.EXPECTED as raised:
            scope = {"path": request.path, "method": "POST", "state": {CONTEXT: context}}
            response = dialects.response(raised, scope)
            error = dialects.service_error(raised, scope)
        context.record.status = response.status_code
        media_type = response.headers.get("content-type", "application/json")
        return EndpointAnswer(
            response.status_code, bytes(response.body), context.record.usage, error, media_type
        )

    async def _response(
        self, context: RequestContext, request: EndpointRequest, *, counted: bool = True
    ) -> Response:
        operations = self.services.operations
        rule = rule_for(request.path, self.rules)
        caller = operations.authenticator.current(request.caller)
        check_scope(caller, rule)
        operation, arguments = self.dispatcher.operation(request.path)
        if operation is None:
            raise NotFoundError(f"there is no POST {request.path[:200]}")
        context.record.route = operation.path
        call = Call(caller, rule.scope)
        if counted:
            context.quota_statuses = await operations.limits.take(call, Resource.REQUESTS, 1)
        context.call = call
        held = self.services.room.open(context.record.share, len(request.body))
        try:
            if not held.grow_to(len(request.body)):
                await held.wait_for(len(request.body), self.services.drain.before(context.deadline))
            response = await operation.answer(
                context, ReadBody(request.body, request.value), arguments
            )
        finally:
            held.release()
        if not isinstance(response.body, bytes):
            raise InternalError("the endpoint streams its answer, which can't be stored")
        return response

    def _context(self, request: EndpointRequest) -> RequestContext:
        headers = {
            b"content-type": b"application/json",
            b"content-length": b"%d" % len(request.body),
            b"x-request-id": request.id.encode(),
        }
        headers |= {
            name.encode("latin-1"): value.encode("latin-1")
            for name, value in request.headers.items()
        }
        if request.idempotency_key is not None:
            headers[b"idempotency-key"] = request.idempotency_key.encode()
        share = "" if request.caller.id == ANONYMOUS.id else request.caller.id
        record = RequestRecord(
            request.id,
            "POST",
            caller=request.caller.id,
            share=share,
            tracer=self.services.operations.tracer,
        )
        return RequestContext(
            self.services,
            request.id,
            headers,
            request_headers.read(headers),
            record,
            deadline=asyncio.get_running_loop().time() + request.seconds,
            most_pages=request.most_pages,
            patience=request.patience,
        )


@asynccontextmanager
async def forwarded_progress(
    context: RequestContext, on_event: OnEvent | None
) -> AsyncIterator[None]:
    """Pass the operation's progress to ``on_event``, in order and completely before the answer."""
    if on_event is None:
        yield
        return
    queue: asyncio.Queue[Progress | None] = asyncio.Queue()

    async def forward(keep: OnEvent) -> None:
        while (progress := await queue.get()) is not None:
            try:
                await keep("progress", serialize.progress(progress))
            except ServiceError as error:
                log.warning("an event of a job is lost", code=error.code, reason=error.detail)

    context.on_progress = queue.put_nowait
    forwarding = asyncio.create_task(forward(on_event))
    try:
        yield
        queue.put_nowait(None)
        await forwarding
    finally:
        forwarding.cancel()
