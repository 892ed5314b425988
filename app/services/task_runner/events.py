"""A task as a stream: progress, then exactly one terminal event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.domain.errors import InternalError, ServiceError
from app.services.task_runner.request import Progress, TaskAnswer, TaskRequest
from app.services.task_runner.service import TaskService
from app.telemetry import current

log = structlog.get_logger()

TaskEvent = Progress | TaskAnswer | ServiceError
"""An event of a running task; the last two kinds are terminal."""


@asynccontextmanager
async def streamed(
    tasks: TaskService, request: TaskRequest
) -> AsyncIterator[AsyncIterator[TaskEvent]]:
    """Run a task and yield its events.

    Entering raises any error before the first event. Iterating raises nothing, and leaving the
    block stops the task.
    """
    # The number of a task's questions bounds the queue.
    queue: asyncio.Queue[TaskEvent] = asyncio.Queue()
    running = asyncio.create_task(_run(tasks, request, queue))
    try:
        first = await queue.get()
        if isinstance(first, ServiceError):
            raise first
        yield _events(first, queue)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _run(tasks: TaskService, request: TaskRequest, queue: "asyncio.Queue[TaskEvent]") -> None:
    try:
        queue.put_nowait(await tasks.run(request, queue.put_nowait))
    except ServiceError as error:
        queue.put_nowait(_noted(error))
    except Exception:
        # A stream has to end with a terminal event, whatever happens.
        log.exception("task failed", task=request.task.name)
        queue.put_nowait(_noted(InternalError("A fault of this service ended the task.")))


def _noted(error: ServiceError) -> ServiceError:
    # Recorded here, since the status can't report an error once an event has been sent.
    current().code = error.code
    return error


async def _events(first: TaskEvent, queue: "asyncio.Queue[TaskEvent]") -> AsyncIterator[TaskEvent]:
    event = first
    while isinstance(event, Progress):
        yield event
        event = await queue.get()
    yield event
