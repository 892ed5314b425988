"""Schemas and rendering of the answers of POST /v1/responses."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.openai.answer import AgeField, CachedField, GuardrailField
from app.api.openai.responses.schemas import ResponsesIn
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.api.responses.warnings import WarningOut, together
from app.domain.generation import Completion, Generation, Sampling, Started, StopReason
from app.domain.usage import Usage
from app.services.deferred_model import DeferredModel
from app.services.generation.structured import Structured

Status = Literal["in_progress", "completed", "incomplete"]
Reason = Literal["max_output_tokens", "content_filter"]

_INCOMPLETE: dict[StopReason, Reason] = {
    StopReason.LENGTH: "max_output_tokens",
    StopReason.REPETITION: "max_output_tokens",
    StopReason.GUARDRAIL: "content_filter",
}


class ResponsesInputDetails(DeferredModel):
    """Details of the input tokens, none of which are ever cached."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class ResponsesOutputDetails(DeferredModel):
    """Details of the output tokens, none of which are for reasoning."""

    reasoning_tokens: int = 0


class ResponsesUsage(DeferredModel):
    """Token counts from Bedrock. A picture counts as about one token."""

    input_tokens: int
    input_tokens_details: ResponsesInputDetails = ResponsesInputDetails()
    output_tokens: int
    output_tokens_details: ResponsesOutputDetails = ResponsesOutputDetails()
    total_tokens: int

    @classmethod
    def from_domain(cls, usage: Usage) -> "ResponsesUsage | None":
        """Render ``usage``; None if a count is unknown, as OpenAI's form allows no null counts."""
        tokens_in, tokens_out = usage.prompt_token_count, usage.generation_token_count
        if tokens_in is None or tokens_out is None:
            return None
        return cls(
            input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out
        )


class ResponsesOutputText(DeferredModel):
    """The model's text."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []


class ResponsesOutputRefusal(DeferredModel):
    """The model's refusal, or the reason why its answer misses the requested form."""

    type: Literal["refusal"] = "refusal"
    refusal: str


ResponsesContent = Annotated[
    ResponsesOutputText | ResponsesOutputRefusal, Field(discriminator="type")
]


class ResponsesOutputMessage(DeferredModel):
    """The only item of an answer."""

    id: str
    type: Literal["message"] = "message"
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[ResponsesContent]


class ResponsesIncomplete(DeferredModel):
    """The reason why an answer is incomplete."""

    reason: Reason


class ResponsesOut(DeferredModel):
    """An answer, which is not stored."""

    id: str
    object: Literal["response"] = "response"
    created_at: Annotated[int, Field(description="Time of creation, Unix seconds.")]
    status: Status
    background: Literal[False] = False
    error: None = None
    incomplete_details: ResponsesIncomplete | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    metadata: dict[str, str] = {}
    model: Annotated[str, Field(description="The model id that was called.")]
    output: list[ResponsesOutputMessage]
    parallel_tool_calls: bool = False
    previous_response_id: None = None
    reasoning: Annotated[
        dict[str, None], Field(description="Always null: the model does not reason separately.")
    ] = {
        "effort": None,
        "summary": None,
    }
    service_tier: Literal["default"] = "default"
    store: Literal[False] = False
    temperature: float
    text: Annotated[dict[str, Any], Field(description="The requested format.")]
    tool_choice: Literal["none"] = "none"
    tools: list[dict[str, Any]] = []
    top_logprobs: int = 0
    top_p: float
    truncation: Literal["disabled"] = "disabled"
    usage: Annotated[
        ResponsesUsage | None,
        Field(description="Token counts; null if Bedrock did not return them."),
    ]
    user: str | None
    stop_reason: Annotated[
        str | None,
        Field(description="Not part of OpenAI's API: Bedrock's stop reason, or `repetition`."),
    ] = None
    generation: Annotated[
        str | None,
        Field(
            description="Not part of OpenAI's API, with a JSON format: the model's raw text "
            "from which the output was read; the texts of two calls follow each other."
        ),
    ] = None
    cost_usd: Annotated[
        CostOut | None,
        Field(description="Not part of OpenAI's API. Null if the price or a count is unknown."),
    ] = None
    guardrail: GuardrailField = None
    cached: CachedField = False
    age_seconds: AgeField = None
    warnings: Annotated[list[WarningOut], Field(description="Not part of OpenAI's API.")]


@dataclass(frozen=True, slots=True)
class Rendering:
    """Renders one answer at its start and at its end."""

    body: ResponsesIn
    sampling: Sampling
    created: int = field(default_factory=lambda: int(time.time()))

    def begun(self, started: Started) -> ResponsesOut:
        """Render the answer without any content."""
        warnings = together(started.warnings, started.images)
        format_ = self.body.text.format if self.body.text else None
        asked = format_.model_dump(by_alias=True, exclude_none=True) if format_ else None
        return ResponsesOut(
            id=started.id,
            created_at=self.created,
            status="in_progress",
            instructions=self.body.instructions,
            max_output_tokens=self.body.max_output_tokens,
            model=started.model,
            output=[],
            temperature=self.sampling.temperature,
            text={"format": asked or {"type": "text"}},
            top_p=self.sampling.top_p,
            usage=None,
            user=self.body.user,
            warnings=[WarningOut.from_domain(warning) for warning in warnings],
        )

    def ended(self, begun: ResponsesOut, structured: Structured) -> ResponsesOut:
        """Return ``begun`` completed with the whole answer."""
        completion = structured.generation.completion
        reason = _INCOMPLETE.get(completion.stop_reason)
        item = message(begun, [content(structured)], status(completion))
        return begun.model_copy(
            update={
                "status": item.status,
                "incomplete_details": ResponsesIncomplete(reason=reason) if reason else None,
                "output": [item],
                "usage": ResponsesUsage.from_domain(completion.usage),
                "stop_reason": _stop_reason(completion),
                "generation": structured.raw,
                "cost_usd": CostOut.from_domain(completion.usage.cost),
                "guardrail": GuardrailOut.from_domain(completion.guardrail),
                "cached": completion.replay is not None,
                "age_seconds": completion.replay and completion.replay.age,
                "warnings": _warnings(structured.generation),
            }
        )


def content(structured: Structured) -> ResponsesContent:
    """Return the content of an answer.

    If it misses the requested form, the content is only a refusal, as SDKs parse any text.
    """
    if structured.refusal is not None:
        return ResponsesOutputRefusal(refusal=structured.refusal)
    return ResponsesOutputText(text=structured.generation.completion.text)


def message(
    begun: ResponsesOut, parts: list[ResponsesContent], status: Status
) -> ResponsesOutputMessage:
    """Return the only item of the answer that has ``begun``."""
    return ResponsesOutputMessage(id=f"msg_{begun.id}", status=status, content=parts)


def status(completion: Completion) -> Status:
    """Return the status of an answer."""
    return "incomplete" if completion.stop_reason in _INCOMPLETE else "completed"


def _stop_reason(completion: Completion) -> str | None:
    if completion.stop_reason is StopReason.REPETITION:
        return completion.stop_reason.value
    return completion.stop_reason_raw


def _warnings(generation: Generation) -> list[WarningOut]:
    return [
        WarningOut.from_domain(warning)
        for warning in together(generation.warnings, generation.images)
    ]
