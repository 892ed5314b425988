"""Schemas of the tasks' bodies and answers, generated from their specs."""

from dataclasses import asdict
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from app.api.openapi.form import exemplified
from app.api.routing.multipart import FormFile
from app.api.v1.generate.schemas import (
    FileIds,
    GenerationFacts,
    Identified,
    LatencyOut,
    uploaded,
)
from app.api.v1.image_forms import ImageIn, received
from app.domain.generation import CallContext, ImageInput, Sampling
from app.domain.model import Language
from app.services.deferred_model import DeferredModel
from app.services.evidence.support import EvidenceOut
from app.services.task_runner.request import TaskRequest
from app.services.tasks.spec import Parameters, Result, Task

ResultT = TypeVar("ResultT", bound=BaseModel)


class TaskOptions(DeferredModel):
    """Parameters of all tasks, besides the images and a task's own parameters."""

    temperature: Annotated[
        float | None,
        Field(ge=0, le=1, description="Randomness, 0 to 1. By default the task's own."),
    ] = None
    top_p: Annotated[
        float | None, Field(ge=0, le=1, description="Nucleus sampling, 0 to 1. 1 turns it off.")
    ] = None
    max_gen_len: Annotated[
        int | None,
        Field(ge=1, le=2048, description="Maximum tokens of one call. By default the task's own."),
    ] = None
    language: Annotated[
        Language | None,
        Field(
            strict=False,
            description="Language of the texts in the result; its keys stay English. With an "
            "image Meta supports English only; other languages are answered with a warning.",
        ),
    ] = None

    stream: Annotated[
        bool,
        Field(description="Answer with server-sent events: progress, then the result."),
    ] = False

    def sampling(self, task: Task[Any, Any]) -> Sampling:
        """Return the task's sampling with the caller's values."""
        own, values = task.sampling, (self.temperature, self.top_p, self.max_gen_len)
        temperature, top_p, max_gen_len = values
        return Sampling(
            temperature=own.temperature if temperature is None else temperature,
            top_p=own.top_p if top_p is None else top_p,
            max_gen_len=own.max_gen_len if max_gen_len is None else max_gen_len,
        )

    def request(
        self, task: Task[Any, Any], images: tuple[ImageInput, ...], call_context: CallContext
    ) -> TaskRequest:
        """Return the use case's request."""
        assert isinstance(self, Parameters)
        return TaskRequest(task, self, images, self.sampling(task), self.language, call_context)


class TaskIn(TaskOptions):
    """A task's JSON body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[
        list[ImageIn],
        Field(
            description="Pictures, each as base64 text, a data URI, a URL, an S3 object or a file."
        ),
    ] = []

    def to_request(self, task: Task[Any, Any], call_context: CallContext) -> TaskRequest:
        """Return the use case's request."""
        owner = call_context.call.caller.id
        images = tuple(received(image, f"images.{i}", owner) for i, image in enumerate(self.images))
        return self.request(task, images, call_context)


class TaskForm(TaskOptions):
    """A task's body as a multipart form."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[FormFile], Field(description="Pictures, one file each.")] = []
    file_ids: FileIds = []

    def to_request(self, task: Task[Any, Any], call_context: CallContext) -> TaskRequest:
        """Return the use case's request."""
        images = uploaded(self.images, self.file_ids, call_context.call.caller.id)
        return self.request(task, images, call_context)


class RawTextOut(DeferredModel):
    """The raw text of one call of the model."""

    page: Annotated[
        int | None,
        Field(description="The number of the page or picture, from 1; null for none or several."),
    ]
    file: Annotated[str | None, Field(description="The file's path in the request: `images.0`.")]
    number: Annotated[int | None, Field(description="The page's number in its file, from 1.")]
    text: str


class Typed(Identified, Generic[ResultT]):
    """The result, which comes first because people look for it."""

    task: str
    prompt_version: Annotated[str, Field(description="The version of the prompt texts.")]
    valid: Annotated[bool, Field(description="Whether there is a `result`.")]
    result: Annotated[
        ResultT | None,
        Field(description="The typed result; null if the answer could not be made valid."),
    ]
    evidence: Annotated[
        dict[str, EvidenceOut | dict[str, Any] | list[Any] | None] | None,
        # The items of lists follow the caller's own schema, so any shape is allowed.
        WithJsonSchema(
            {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}
        ),
        Field(
            description="The readings that support the values of `result`, in the same shape: "
            "the path of a text or number has its evidence {page, file, number, box, text, "
            "match, source}. Null if there is none; see docs/evidence.md."
        ),
    ]
    faults: Annotated[
        list[str],
        Field(
            description="Why there is no result, or which parts of it the model refused; "
            "otherwise empty."
        ),
    ]
    refused: Annotated[
        bool, Field(description="Whether the model refused to answer all or a part.")
    ]
    image_not_seen: Annotated[
        bool, Field(description="Whether the model said that there was no picture.")
    ]
    refusal: Annotated[
        str | None, Field(description="The model's words, if it refused or saw no picture.")
    ]
    generation: Annotated[
        str,
        Field(description="The model's raw text; the texts of several calls follow each other."),
    ]
    raw_texts: Annotated[
        list[RawTextOut], Field(description="The raw text of each call, in the order of pages.")
    ]


class TaskOut(GenerationFacts, Typed[ResultT], Generic[ResultT]):
    """A typed answer."""

    repaired: Annotated[bool, Field(description="Whether an answer was asked for again.")]
    calls: Annotated[
        int,
        Field(description="Number of calls of the model; token counts are sums over all of them."),
    ]
    latency_ms: Annotated[
        LatencyOut, Field(description="`model` is the sum over all calls, which overlap.")
    ]


def body_of(task: Task[Any, Any]) -> type[TaskIn]:
    """Return the model of the JSON body of ``task``."""
    return create_model(
        f"{camel(task.name)}In", __base__=(TaskIn, task.parameters), __doc__=task.summary
    )


def form_of(task: Task[Any, Any]) -> type[TaskForm]:
    """Return the model of the multipart body of ``task``."""
    places = [""] * max(1, task.images.least)
    values = {**asdict(task.sampling), **task.example.parameters, "images": places}

    class Exemplified(TaskForm):
        model_config = ConfigDict(json_schema_extra=exemplified(values))

    return create_model(
        f"{camel(task.name)}Form", __base__=(Exemplified, task.parameters), __doc__=task.summary
    )


def answer_of(task: Task[Any, Any]) -> type[TaskOut[Result]]:
    """Return the model of the answer of ``task``."""
    generic: Any = TaskOut
    base: type[TaskOut[Result]] = generic[task.result]
    return create_model(f"{camel(task.name)}Out", __base__=base, __doc__=task.summary)


def camel(name: str) -> str:
    """Return ``document-qa`` as ``DocumentQa``."""
    return "".join(part.capitalize() for part in name.split("-"))
