"""POST /v1/tasks/{task} and its multipart twin, one pair for each spec; GET /v1/tasks."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Body, Form, Response
from pydantic import Field

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS
from app.api.openapi.examples import PICTURE
from app.api.routing.context import Context
from app.api.routing.headers import CallHeaders
from app.api.v1.tasks.schemas import TaskForm, TaskIn, answer_of, body_of, camel, form_of
from app.api.v1.tasks.streaming import STREAM, respond
from app.domain import errors
from app.services.deferred_model import DeferredModel
from app.services.tasks import TASKS
from app.services.tasks.spec import Task

router = APIRouter(prefix="/v1", tags=["tasks"])

Endpoint = Callable[..., Awaitable[Response]]


class CapabilityOut(DeferredModel):
    """How well the model does a task, as far as Meta's model card for the 11B Instruct says."""

    basis: Annotated[
        str,
        Field(
            description="The published measurement that is closest to the task, or a "
            "note that there is none."
        ),
    ]
    untrained: Annotated[
        list[str], Field(description="Parts of the result for which the model was not trained.")
    ]
    languages: Annotated[
        list[str], Field(description="Languages that Meta supports with a picture; ISO 639-1.")
    ]


class TaskSummary(DeferredModel):
    """One task."""

    name: str
    path: str
    upload_path: str
    summary: str
    description: str
    least_images: int
    most_images: int
    documents: Annotated[bool, Field(description="Whether PDFs and multi-page TIFFs are accepted.")]
    capability: CapabilityOut
    parameters: Annotated[
        dict[str, Any], Field(description="JSON Schema of the task's own parameters.")
    ]
    result: Annotated[dict[str, Any], Field(description="JSON Schema of `result`.")]
    example: Annotated[dict[str, Any], Field(description="An example request and its result.")]

    @classmethod
    def from_domain(cls, task: Task[Any, Any]) -> "TaskSummary":
        """Render ``task``."""
        return cls(
            name=task.name,
            path=f"/v1/tasks/{task.name}",
            upload_path=f"/v1/tasks/{task.name}/upload",
            summary=task.summary,
            description=task.description,
            least_images=task.images.least,
            most_images=task.images.most,
            documents=task.images.documents,
            capability=CapabilityOut(
                basis=task.capability.basis,
                untrained=list(task.capability.untrained),
                languages=list(task.capability.languages),
            ),
            parameters=task.parameters.model_json_schema(),
            result=task.result.model_json_schema(mode="serialization"),
            example={"request": example(task), "result": dict(task.example.result)},
        )


class TaskList(DeferredModel):
    """All tasks."""

    tasks: list[TaskSummary]


@router.get(
    "/tasks",
    operation_id="listTasks",
    summary="List the vision tasks",
    description="Lists the tasks, each with its parameters, its result and an example.",
    response_description="The tasks.",
    response_model=TaskList,
    responses=problem.responses(errors.InternalError),
)
async def list_tasks() -> Response:
    return Response(_listing(), media_type="application/json")


@cache
def _listing() -> str:
    # Generating the schemas takes milliseconds, and they never change.
    return TaskList(tasks=[TaskSummary.from_domain(task) for task in TASKS]).model_dump_json()


def example(task: Task[Any, Any]) -> dict[str, Any]:
    """Return an example body that works unchanged."""
    images = [PICTURE] * max(task.images.least, min(1, task.images.most))
    return {"images": images, **task.example.parameters}


def json_endpoint(task: Task[Any, Any]) -> Endpoint:
    """Return the route function of ``task`` for JSON."""
    body_type = body_of(task)
    examples: Any = {task.name: {"summary": task.summary, "value": example(task)}}

    async def run(
        context: Context,
        headers: CallHeaders,
        body: Annotated[TaskIn, Body(openapi_examples=examples)],
    ) -> Response:
        request = body.to_request(task, context.call_context(headers))
        return await respond(context, request, stream=body.stream)

    # FastAPI reads the spec's own type here; mypy only knows the base class above.
    run.__annotations__["body"] = Annotated[body_type, Body(openapi_examples=examples)]
    return run


def form_endpoint(task: Task[Any, Any]) -> Endpoint:
    """Return the route function of ``task`` for multipart forms."""
    form_type = form_of(task)

    async def run(
        context: Context,
        headers: CallHeaders,
        form: Annotated[TaskForm, Form(media_type="multipart/form-data")],
    ) -> Response:
        request = form.to_request(task, context.call_context(headers))
        return await respond(context, request, stream=form.stream)

    run.__annotations__["form"] = Annotated[form_type, Form(media_type="multipart/form-data")]
    return run


TASK_ERRORS = (
    errors.ImagesMissingError,
    errors.DocumentLockedError,
    errors.TooManyPagesError,
    *GENERATION_ERRORS,
)


def _responses(*declared: type[errors.ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses, whose errors lack the examples that /v1/generate has.

    With examples the document would be three times as long, as each task has two paths.
    """
    refusals = problem.responses(*declared)
    for refusal in refusals.values():
        del refusal["content"][problem.MEDIA_TYPE]["examples"]
    return STREAM | refusals


def _add(task: Task[Any, Any]) -> None:
    operation, answer_type = f"task{camel(task.name)}", answer_of(task)
    router.add_api_route(
        f"/tasks/{task.name}",
        json_endpoint(task),
        methods=["POST"],
        response_model=answer_type,
        operation_id=operation,
        summary=task.summary,
        description=task.description,
        response_description="The typed answer.",
        responses=_responses(*JSON_IMAGE_ERRORS, *TASK_ERRORS),
    )
    router.add_api_route(
        f"/tasks/{task.name}/upload",
        form_endpoint(task),
        methods=["POST"],
        response_model=answer_type,
        operation_id=f"{operation}Upload",
        summary=f"{task.summary} (upload)",
        description=f"The same as `/v1/tasks/{task.name}`, with files of a multipart form.",
        response_description="The typed answer.",
        responses=_responses(errors.MalformedBodyError, *TASK_ERRORS),
    )


for _task in TASKS:
    _add(_task)
