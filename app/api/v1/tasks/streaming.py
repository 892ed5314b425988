"""The events of a streamed task: any number of ``progress``, then one ``result`` or ``error``."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Response
from pydantic import Field

from app.api.errors import problem
from app.api.responses import sse
from app.api.responses.sse import EventStream
from app.api.responses.streaming import opened
from app.api.routing.context import RequestContext
from app.api.v1.tasks import serialize
from app.domain.errors import ServiceError
from app.services.deferred_model import DeferredModel
from app.services.task_runner.events import TaskEvent, streamed
from app.services.task_runner.request import Progress, TaskAnswer, TaskRequest


class ProgressEvent(DeferredModel):
    """`event: progress`: one of several questions to the model is done."""

    done: Annotated[int, Field(description="Questions that are done.")]
    total: Annotated[int, Field(description="Total number of questions.")]
    page: Annotated[int, Field(description="The number of the page or picture, from 1.")]
    file: Annotated[str, Field(description="Place of its file in the request: `images.0`.")]
    number: Annotated[int, Field(description="The page's number in its file, from 1.")]
    fault: Annotated[
        str | None, Field(description="The error, if it has no answer; otherwise null.")
    ]
    text: Annotated[
        str | None,
        Field(description="The text that was read, for tasks that read text; otherwise null."),
    ]
    page_result: Annotated[
        dict[str, Any] | None,
        Field(
            description="The result of this page (with `detail: high` of this part of it), like "
            "an entry of the result's `pages`. Null if it has no answer, and for tasks without "
            "pages."
        ),
    ]


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The typed answer; with `stream: true` as server-sent events, in this "
        "order: any number of `progress` (ProgressEvent), then exactly one of `result` (the "
        "answer) and `error` (Problem). Comments keep the connection open.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; its data is JSON as the response describes it.",
                    "properties": {
                        "event": {"enum": ["progress", "result", "error"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                    },
                    "required": ["event", "data"],
                },
                "example": 'event: progress\ndata: {"done": 1, "total": 4, "page": 2, …}\n\n'
                'event: result\ndata: {"task": "ocr", "valid": true, …}\n\n',
            }
        },
    }
}


async def respond(context: RequestContext, request: TaskRequest, *, stream: bool) -> Response:
    """Answer ``request`` in one piece, or as a stream."""
    services = context.services
    request = replace(request, most_pages=context.most_pages, patience=context.patience)
    if not stream:
        answer = await services.tasks.run(request, context.on_progress)
        return Response(serialize.answer(answer), media_type="application/json")

    async def events(happening: AsyncIterator[TaskEvent]) -> EventStream:
        return EventStream(encode(happening, context.id), services.timing.heartbeat)

    return await opened(streamed(services.tasks, request), events)


async def encode(events: AsyncIterator[TaskEvent], request_id: str) -> AsyncGenerator[bytes]:
    """Encode each event."""
    async for happened in events:
        match happened:
            case Progress():
                yield sse.event("progress", serialize.progress(happened))
            case TaskAnswer():
                yield sse.event("result", serialize.answer(happened))
            case ServiceError():
                document = problem.describe(happened, request_id)
                yield sse.event("error", document.model_dump_json().encode())
