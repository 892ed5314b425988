"""Requests to the model, and its answers."""

import math
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from app.domain.access import ANONYMOUS, ANONYMOUS_CALL, Call
from app.domain.cache import NO_WISH, CacheWish, Replay
from app.domain.errors import ServiceError
from app.domain.guardrail import Action, GuardrailPolicy, GuardrailReport, GuardrailWish
from app.domain.image import (
    AnswerWarning,
    Base64Image,
    FileImage,
    ImageReport,
    PreparedImage,
    ReceivedImage,
    S3Image,
    UrlImage,
)
from app.domain.model import Dialect, Language
from app.domain.output import OutputForm, TokenLogprob
from app.domain.usage import Usage

ImageInput = ReceivedImage | Base64Image | UrlImage | S3Image | FileImage
"""A picture in any form in which a caller can give it."""

ImageT = TypeVar("ImageT")


class Role(StrEnum):
    """The speaker of a turn."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn(Generic[ImageT]):
    """One turn of a conversation; the pictures precede the text."""

    role: Role
    text: str
    images: tuple[ImageT, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. Ranges and defaults are those of Meta's models on Bedrock."""

    temperature: float = 0.5
    """0 to 1."""
    top_p: float = 0.9
    """0 to 1; 1 turns nucleus sampling off."""
    max_gen_len: int = 512
    """Tokens, 1 to 2048."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """The caller on whose behalf a request is answered, its deadline and its options."""

    call: Call = ANONYMOUS_CALL
    """The caller, and the scope of the call."""
    address: str = ""
    """The client's network address, which identifies anonymous callers."""
    deadline: float = math.inf
    """The deadline of the answer, in seconds of the event loop's clock."""
    second_bill: bool = False
    """Whether a call that may already have been billed may be repeated."""
    idempotency_key: str | None = None
    """Requests of one caller with the same key and content share one answer."""
    guardrail: GuardrailWish | None = None
    """The request's wish for a stricter policy than the caller's."""
    cache: CacheWish = NO_WISH
    task: str = ""
    """The task and the versions of its prompts; empty if there is no task."""

    @property
    def caller(self) -> str:
        """The name whose fair share the request uses, so that no caller's burst starves others."""
        caller = self.call.caller
        if caller.id != ANONYMOUS.id:
            return caller.id
        return self.address or caller.address


@dataclass(slots=True)
class Bill:
    """The bill for one question to the model, its retries included."""

    open: bool = False
    """Whether a call was sent and neither answered nor refused, so that Bedrock may bill it."""


class ImageStrategy(StrEnum):
    """The treatment of several pictures, as the model takes one at a time."""

    SINGLE = "single"
    """More than one picture is refused."""
    CONTACT_SHEET = "contact_sheet"
    """The pictures are laid out on one picture, each with its number."""
    EACH = "each"
    """The same question is asked about each picture, in a call of its own."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A caller's request for an answer."""

    turns: tuple[Turn[ImageInput], ...]
    """The turns, which alternate; the user's come first and last."""
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    language: Language | None = None
    language_asked: bool = False
    """Whether the last turn itself names the language, and what it applies to."""
    raw_prompt: bool = False
    """Whether the single turn's text is a finished Llama prompt, which is sent unchanged."""
    call_context: CallContext = field(default_factory=CallContext)
    strategy: ImageStrategy = ImageStrategy.SINGLE
    strategies: tuple[ImageStrategy, ...] = ()
    """Strategies that the caller may choose, for the hint if there are too many pictures."""
    whole_conversation: bool = False
    """Whether the client sends all turns each time, so that surplus pictures of earlier turns are
    left out with a warning; otherwise they are refused."""
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings from reading the request; they become part of the answer's."""
    form: OutputForm | None = None
    """As in `ModelRequest`."""
    begun: str = ""
    """As in `ModelRequest`."""
    logprobs: int | None = None
    """As in `ModelRequest`."""
    shows_blocked: bool = False
    """Whether a blocked answer is returned as an answer, as in foreign dialects; otherwise it is
    raised as a GuardrailBlockedError."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to the model: prepared pictures, finished texts."""

    turns: tuple[Turn[PreparedImage], ...]
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    raw_prompt: bool = False
    call_context: CallContext = field(default_factory=CallContext)
    stop: tuple[str, ...] = ()
    form: OutputForm | None = None
    """The form of the answer, enforced if the target's `Capabilities` allow it."""
    begun: str = ""
    """The beginning of the answer, which the model continues and does not repeat.

    Ignored if the target's `Capabilities` lack ``begun``.
    """
    logprobs: int | None = None
    """Number of alternatives for each token of the answer, 0 to 20; None for no probabilities.

    Ignored if the target's `Capabilities` lack ``logprobs``.
    """
    bill: Bill = field(default_factory=Bill, compare=False)
    """Written next to the adapter, where it is known whether anything was sent; read above the
    retries, where the caller's quotas are drawn on."""
    guardrail: GuardrailPolicy | None = None
    """The guardrail that Bedrock runs within the call; None for none."""


@dataclass(frozen=True, slots=True)
class Target:
    """A way to reach the model: region or host, model id and dialect."""

    region: str
    model_id: str
    dialect: Dialect

    def __str__(self) -> str:
        return f"{self.region}/{self.model_id}/{self.dialect}"


class StopReason(StrEnum):
    """Why the answer ended."""

    STOP = "stop"
    LENGTH = "length"
    GUARDRAIL = "guardrail"
    REPETITION = "repetition"
    """The model repeated itself and was stopped by this service."""
    OTHER = "other"
    """A reason that this service does not know; the raw value is kept as well."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The model's answer."""

    text: str
    usage: Usage
    stop_reason: StopReason
    stop_reason_raw: str | None
    """The stop reason as Bedrock returned it."""
    latency_ms: int | None = None
    """The model's own time as Bedrock reports it."""
    target: Target | None = None
    """The configured target that answered."""
    stop_sequence: str | None = None
    """The caller's stop text that ended the answer, if one did."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Log probabilities of the whole text; None if they were not requested or not returned."""
    guardrail: GuardrailReport | None = None
    """The guardrails' report; None if no guardrail was called."""
    replay: Replay | None = None
    """Set if the answer comes from the cache."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings from the model stack, such as one about the model's end."""

    @property
    def blocked(self) -> bool:
        """Whether a guardrail blocked the question or the answer."""
        return self.guardrail is not None and self.guardrail.action is Action.BLOCKED


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer, made of whole characters."""

    text: str
    usage: Usage = field(default_factory=Usage)
    """Tokens so far, as far as the upstream reports them."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Log probabilities of this piece's tokens."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a streamed answer; nothing comes after it."""

    usage: Usage
    stop_reason: StopReason
    stop_reason_raw: str | None
    latency_ms: int | None = None
    target: Target | None = None
    stop_sequence: str | None = None
    guardrail: GuardrailReport | None = None
    replay: Replay | None = None
    warnings: tuple[AnswerWarning, ...] = ()
    """As in `Completion`."""


StreamPart = Delta | Finish
StreamParts = tuple[StreamPart, ...]
"""Parts that arrived together, at least one."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    total: int
    """Milliseconds from the request's arrival in the service layer to its answer."""
    model: int
    """Milliseconds of that time spent waiting for Bedrock."""
    first_token: int | None = None
    """Milliseconds from the request's arrival to the first text, if the answer was streamed."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to a caller."""

    id: str
    model: str
    completion: Completion
    images: tuple[ImageReport, ...]
    warnings: tuple[AnswerWarning, ...]
    latency: Latency
    parts: "tuple[Part, ...]" = ()
    """The answers for single pictures that this one sums up, if each took a call."""
    created: int = field(default_factory=lambda: int(time.time()))
    """Time of creation in Unix seconds; a repeated answer keeps its original time."""


@dataclass(frozen=True, slots=True)
class Part:
    """The outcome of one picture of several: an answer or an error."""

    name: str
    """The picture's path in the request."""
    generation: Generation | None = None
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of a stream: the model has begun to answer."""

    id: str
    model: str
    images: tuple[ImageReport, ...]
    warnings: tuple[AnswerWarning, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The terminal event of a stream that succeeded."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class Failed:
    """The terminal event of a stream that failed, with the cost so far."""

    error: ServiceError
    text: str
    usage: Usage


GenerationEvent = Started | Delta | Done | Failed
GenerationEvents = tuple[GenerationEvent, ...]
"""Events that are ready together, at least one."""
