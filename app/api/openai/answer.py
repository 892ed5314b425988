"""Schemas of the answers of POST /v1/chat/completions: whole, and as a stream's chunks."""

import time
from functools import partial
from operator import is_, not_
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.openai.logprobs import ChatLogprobs
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.api.responses.warnings import WarningOut, together
from app.domain.citation import QuoteMatch
from app.domain.generation import Completion, Generation, Started, StopReason
from app.domain.usage import Usage
from app.services.deferred_model import DeferredModel
from app.services.retrieval.request import Unanswered

FinishReason = Literal["stop", "length", "content_filter"]

FINISH_REASONS: dict[StopReason, FinishReason] = {
    StopReason.STOP: "stop",
    StopReason.LENGTH: "length",
    StopReason.GUARDRAIL: "content_filter",
    StopReason.REPETITION: "length",
    StopReason.OTHER: "stop",
}


GuardrailField = Annotated[
    GuardrailOut | None,
    Field(
        description="Not part of OpenAI's API: the guardrails' report; absent if no guardrail "
        "was called.",
        exclude_if=partial(is_, None),
    ),
]
CachedField = Annotated[
    bool,
    Field(
        description="Not part of OpenAI's API: whether the answer comes from the cache.",
        exclude_if=not_,
    ),
]
AgeField = Annotated[
    float | None,
    Field(
        description="Not part of OpenAI's API: age of a cached answer in seconds.",
        exclude_if=partial(is_, None),
    ),
]
_COST = "Not part of OpenAI's API. Null if the price or a count is unknown."


class ChatUsage(DeferredModel):
    """Token counts from Bedrock. A picture counts as about one token."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def from_domain(cls, usage: Usage) -> "ChatUsage | None":
        """Render ``usage``; None if a count is unknown, as OpenAI's form allows no null counts."""
        prompt, completion = usage.prompt_token_count, usage.generation_token_count
        if prompt is None or completion is None:
            return None
        return cls(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )


class ChatUrlCitation(DeferredModel):
    """A marker in the text, and the document to which it leads."""

    url: Annotated[str, Field(description="The document's place: `s3://…`, a URL or an id.")]
    title: str
    start_index: Annotated[int, Field(description="Position of the marker `[n]` in `content`.")]
    end_index: int
    n: Annotated[
        int,
        Field(
            description="The marker's number. This and all following fields are "
            "not part of OpenAI's API."
        ),
    ]
    page: int | None
    score: float | None
    quote: str | None
    match: QuoteMatch | None


class ChatAnnotation(DeferredModel):
    """A citation."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: ChatUrlCitation


class ChatRag(DeferredModel):
    """Facts about an answer from documents. Not part of OpenAI's API."""

    id: str
    knowledge_base: str
    answered: Annotated[bool, Field(description="Whether the documents answer the question.")]
    reason: Unanswered | None
    corrections: list[dict[str, Any]]


class ChatAnswerMessage(DeferredModel):
    """The model's answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: Annotated[
        str | None,
        Field(
            description=(
                "The model's refusal, or the reason why `content` misses the "
                "requested `response_format`."
            )
        ),
    ] = None
    annotations: Annotated[
        list[ChatAnnotation] | None,
        Field(
            description="Citations, if a knowledge base was asked.",
            exclude_if=partial(is_, None),
        ),
    ] = None


class ChatChoice(DeferredModel):
    """The only choice."""

    index: int = 0
    message: ChatAnswerMessage
    finish_reason: FinishReason
    stop_reason: Annotated[
        str | None,
        Field(description="The stop text that ended the answer, or Bedrock's stop reason."),
    ] = None
    logprobs: Annotated[
        ChatLogprobs | None,
        Field(
            description=(
                "Log probabilities of the generated tokens, if requested; with "
                "`response_format` those of `generation`, of the last one of two calls."
            )
        ),
    ] = None
    generation: Annotated[
        str | None,
        Field(
            description=(
                "Not part of OpenAI's API, with `response_format`: the model's raw "
                "text that `content` was read from; the texts of two calls follow "
                "each other."
            )
        ),
    ] = None


class ChatCompletion(DeferredModel):
    """The next message of a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: Annotated[int, Field(description="Time of creation, Unix seconds.")]
    model: Annotated[str, Field(description="The model id that was called.")]
    choices: list[ChatChoice]
    usage: Annotated[
        ChatUsage | None, Field(description="Token counts; null if Bedrock did not return them.")
    ]
    cost_usd: Annotated[CostOut | None, Field(description=_COST)]
    guardrail: GuardrailField = None
    cached: CachedField = False
    age_seconds: AgeField = None
    warnings: Annotated[list[WarningOut], Field(description="Not part of OpenAI's API.")]
    rag: Annotated[ChatRag | None, Field(exclude_if=partial(is_, None))] = None

    @classmethod
    def from_domain(
        cls, generation: Generation, refusal: str | None = None, raw: str | None = None
    ) -> "ChatCompletion":
        """Render ``generation``."""
        completion = generation.completion
        choice = ChatChoice(
            message=ChatAnswerMessage(content=completion.text, refusal=refusal),
            finish_reason=FINISH_REASONS[completion.stop_reason],
            stop_reason=_stop_reason(completion),
            logprobs=ChatLogprobs.from_domain(completion.logprobs),
            generation=raw,
        )
        warnings = together(generation.warnings, generation.images)
        return cls(
            id=generation.id,
            created=generation.created,
            model=generation.model,
            choices=[choice],
            usage=ChatUsage.from_domain(completion.usage),
            cost_usd=CostOut.from_domain(completion.usage.cost),
            guardrail=completion.guardrail and GuardrailOut.from_domain(completion.guardrail),
            cached=completion.replay is not None,
            age_seconds=completion.replay and completion.replay.age,
            warnings=[WarningOut.from_domain(warning) for warning in warnings],
        )


def _stop_reason(completion: Completion) -> str | None:
    if completion.stop_reason is StopReason.REPETITION:
        return completion.stop_reason.value
    return completion.stop_sequence or completion.stop_reason_raw


_IF_SET = Field(exclude_if=lambda value: not value and value != "")


class ChatDelta(DeferredModel):
    """The part of the message that a chunk adds."""

    role: Annotated[Literal["assistant"] | None, _IF_SET] = None
    content: Annotated[str | None, _IF_SET] = None
    refusal: Annotated[str | None, _IF_SET] = None
    annotations: Annotated[list[ChatAnnotation] | None, _IF_SET] = None
    rag: Annotated[ChatRag | None, _IF_SET] = None


class ChatChunkChoice(DeferredModel):
    """A chunk's part of the only choice."""

    index: int = 0
    delta: ChatDelta
    finish_reason: FinishReason | None = None
    logprobs: Annotated[
        ChatLogprobs | None,
        _IF_SET,
        Field(description=("Log probabilities of the chunk's tokens, if requested.")),
    ] = None
    generation: Annotated[
        str | None,
        _IF_SET,
        Field(
            description="Not part of OpenAI's API, with `response_format`: the model's raw text."
        ),
    ] = None


class ChatChunk(DeferredModel):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: Annotated[int, Field(description="Time of creation, Unix seconds.")]
    model: str
    choices: list[ChatChunkChoice]
    usage: Annotated[
        ChatUsage | None, Field(description="Token counts, in the last chunk with `include_usage`.")
    ] = None
    warnings: Annotated[
        list[WarningOut],
        _IF_SET,
        Field(description="Warnings, in the first chunk. Not part of OpenAI's API."),
    ] = []

    @classmethod
    def first(cls, started: Started) -> "ChatChunk":
        """Return the chunk that begins the message."""
        warnings = together(started.warnings, started.images)
        return cls(
            id=started.id,
            created=int(time.time()),
            model=started.model,
            choices=[ChatChunkChoice(delta=ChatDelta(role="assistant", content=""))],
            warnings=[WarningOut.from_domain(warning) for warning in warnings],
        )


class ChatLastChunk(ChatChunk):
    """The chunk that says why the answer ended."""

    cost_usd: Annotated[CostOut | None, Field(description=_COST)]
    guardrail: GuardrailField = None
    cached: CachedField = False
    age_seconds: AgeField = None
