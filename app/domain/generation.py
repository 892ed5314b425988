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
"""A picture as a caller may give it."""

ImageT = TypeVar("ImageT")


class Role(StrEnum):
    """The speaker of a turn."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn(Generic[ImageT]):
    """One turn of a conversation. Pictures stand before the text."""

    role: Role
    text: str
    images: tuple[ImageT, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the answer is sampled. Ranges and defaults are those of Meta's models on Bedrock."""

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
    """The caller, and the use that is made of the service."""
    address: str = ""
    """The client's network address, which tells callers apart where nothing else does."""
    deadline: float = math.inf
    """The time at which the answer becomes worthless, in seconds of the event loop's clock."""
    second_bill: bool = False
    """A call that may have been billed already may be made again."""
    idempotency_key: str | None = None
    """Requests of one caller with the same key and content share one answer."""
    guardrail: GuardrailWish | None = None
    """A stricter policy than the caller's, by the request's wish."""
    cache: CacheWish = NO_WISH
    task: str = ""
    """The task and the versions of its prompts, empty for none."""

    @property
    def caller(self) -> str:
        """The key of the fair share that the request takes; nobody's burst may starve others."""
        caller = self.call.caller
        if caller.id != ANONYMOUS.id:
            return caller.id
        return self.address or caller.address


@dataclass(slots=True)
class Bill:
    """The amount owed for one question to the model, its retries included."""

    open: bool = False
    """A call was sent, and neither answered nor refused: Bedrock may bill it."""


class ImageStrategy(StrEnum):
    """The treatment of several pictures, of which the model takes one at a time."""

    SINGLE = "single"
    """Nothing: more than one is refused."""
    CONTACT_SHEET = "contact_sheet"
    """The pictures are laid out on one picture, each under its number."""
    EACH = "each"
    """The same is asked about each of them, in a call of its own."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A caller's request for an answer."""

    turns: tuple[Turn[ImageInput], ...]
    """Alternating, the user first and last."""
    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    language: Language | None = None
    language_asked: bool = False
    """The last turn says itself which language is wanted, and for what."""
    raw_prompt: bool = False
    """The single turn's text is a finished Llama prompt, sent exactly as written."""
    call_context: CallContext = field(default_factory=CallContext)
    strategy: ImageStrategy = ImageStrategy.SINGLE
    strategies: tuple[ImageStrategy, ...] = ()
    """Others that the caller may choose, for the hint where there are too many pictures."""
    whole_conversation: bool = False
    """The client sends all turns each time, so that pictures of earlier turns that the model has
    no room for are left out with a warning; otherwise they are refused."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these texts."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings from reading the request; they become part of the answer's."""
    form: OutputForm | None = None
    """As in `ModelRequest`."""
    begun: str = ""
    """As in `ModelRequest`."""
    logprobs: int | None = None
    """As in `ModelRequest`."""
    shows_blocked: bool = False
    """A blocked answer is an answer that ended for it, as foreign dialects have it; else it is
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
    """Enforced where the target's `Capabilities` have ``structured_output``, else left out."""
    begun: str = ""
    """The beginning of the answer, which the model continues and does not repeat.

    Left out where the target's `Capabilities` have no ``begun``.
    """
    logprobs: int | None = None
    """Alternatives wanted for each token of the answer, 0 to 20; None wants no probabilities.

    Left out where the target's `Capabilities` have no ``logprobs``.
    """
    bill: Bill = field(default_factory=Bill, compare=False)
    """Written next to the adapter, where it is known whether anything was sent; read above the
    retries, where the caller's quotas are drawn on."""
    guardrail: GuardrailPolicy | None = None
    """The guardrail that Bedrock is to run within the call, None for none."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way to reach the model."""

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
    """Something newer than this service; the raw value is kept beside it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The model's answer."""

    text: str
    usage: Usage
    stop_reason: StopReason
    stop_reason_raw: str | None
    """The reason as Bedrock spelled it."""
    latency_ms: int | None = None
    """The model's own time as Bedrock reports it."""
    target: Target | None = None
    """The configured target that answered."""
    stop_sequence: str | None = None
    """The caller's stop text that ended it, where one did."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Log probabilities of the whole text; None if they were not asked for or not given."""
    guardrail: GuardrailReport | None = None
    """The guardrails' report; None if none was asked."""
    replay: Replay | None = None
    """Set where the answer is one that was kept."""
    warnings: tuple[AnswerWarning, ...] = ()
    """Warnings from on the way to the model, such as of its end."""

    @property
    def blocked(self) -> bool:
        """Whether a guardrail held the answer, or the question, back."""
        return self.guardrail is not None and self.guardrail.action is Action.BLOCKED


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer: whole characters, never half of one."""

    text: str
    usage: Usage = field(default_factory=Usage)
    """Tokens so far, where the upstream says."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Log probabilities of the tokens that arrived with this piece."""


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
"""Parts that arrived together, one at least."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    total: int
    """Milliseconds from the request's arrival in the service layer to its answer."""
    model: int
    """Milliseconds of that spent waiting for Bedrock."""
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
    """The answers that this one sums up, picture by picture, where it took a call for each."""
    created: int = field(default_factory=lambda: int(time.time()))
    """Unix seconds. An answer that is repeated tells when it was made."""


@dataclass(frozen=True, slots=True)
class Part:
    """The outcome of one picture of several: an answer or an error."""

    name: str
    """The picture's place in the request."""
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
    """The terminal event of a stream that failed, with its cost by then."""

    error: ServiceError
    text: str
    usage: Usage


GenerationEvent = Started | Delta | Done | Failed
GenerationEvents = tuple[GenerationEvent, ...]
"""Events that are ready together, one at least."""
