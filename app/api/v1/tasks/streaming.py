"""The events of a streamed task: any number of ``progress``, then one ``result`` or ``error``."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from app.api.errors import problem
from app.api.responses import sse
from app.api.responses.sse import EventStream
from app.api.routing.asking import Asking
from app.api.v1.tasks.schemas import TaskOut
from app.domain.errors import ServiceError
from app.services.task_runner.events import TaskEvent, streamed
from app.services.task_runner.request import Progress, TaskAnswer, TaskRequest
from app.services.tasks.spec import Result


class ProgressEvent(BaseModel):
    """`event: progress`: one question of several has been dealt with."""

    done: Annotated[int, Field(description="Questions dealt with.")]
    total: Annotated[int, Field(description="Questions in all.")]
    page: Annotated[int, Field(description="The page or picture it was about, from 1.")]
    fault: Annotated[str | None, Field(description="Why it has no answer, else null.")]
    text: Annotated[
        str | None, Field(description="What was read there, of tasks that read text; else null.")
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


@dataclass(frozen=True, slots=True)
class TaskAnswering:
    """Answers in the form that the caller asked for."""

    asking: Asking

    async def answer(
        self, request: TaskRequest, form: type[TaskOut[Result]], *, stream: bool
    ) -> Response:
        """Answer in one piece or as a stream."""
        services = self.asking.services
        if not stream:
            whole = form.of(await services.tasks.run(request))
            return Response(whole.model_dump_json(), media_type="application/json")
        events = await self.asking.enter(streamed(services.tasks, request))
        return EventStream(encode(events, form, self.asking.request_id), services.timing.heartbeat)


async def _answering(request: Request) -> TaskAnswering:
    return TaskAnswering(Asking.of(request))


TaskAnswers = Annotated[TaskAnswering, Depends(_answering)]


async def encode(
    events: AsyncIterator[TaskEvent], form: type[TaskOut[Result]], request_id: str
) -> AsyncGenerator[bytes]:
    """Encode each event."""
    async for happened in events:
        match happened:
            case Progress():
                progress = ProgressEvent.model_validate(happened, from_attributes=True)
                yield _event("progress", progress)
            case TaskAnswer():
                yield _event("result", form.of(happened))
            case ServiceError():
                yield _event("error", problem.of(happened, request_id))


def _event(name: str, data: BaseModel) -> bytes:
    return sse.event(name, data.model_dump_json().encode())
