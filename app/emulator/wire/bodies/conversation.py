"""A caller's question, whichever operation carried it, and the emulator's answer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_GENERATION = 2048
DEFAULT_GENERATION = 512


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that passed the contract's checks."""

    data: bytes
    sha256: str
    """SHA-256 of ``data``, lower-case hexadecimal."""
    format: str
    """``jpeg``, ``png``, ``webp`` or ``gif``, by its bytes."""
    width: int
    """Pixels as stored; EXIF orientation is not applied, as the model's own code does not."""
    height: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling of an answer, with the defaults that AWS documents for Llama."""

    temperature: float = 0.5
    top_p: float = 0.9
    max_gen_len: int = DEFAULT_GENERATION
    stop_sequences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedGuardrail:
    """The guardrail that a call named."""

    identifier: str
    version: str
    trace: bool = False


class BodyFormat(StrEnum):
    """The format of a call's body and of its answer's."""

    LLAMA = "Llama"
    """InvokeModel's body for the foundation model."""
    CONVERSE = "Converse"
    BEDROCK_COMPLETION = "BedrockCompletion"
    """These three are what an imported model takes on InvokeModel."""
    OPENAI_COMPLETION = "OpenAICompletion"
    OPENAI_CHAT = "OpenAIChatCompletion"


@dataclass(frozen=True, slots=True)
class Constraint:
    """The constraint of an answer while it is generated. Exactly one member is set."""

    schema: dict[str, Any] | None = None
    """A JSON Schema; ``{}`` wants any JSON object."""
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    """A regular expression that the whole answer matches."""

    @property
    def kind(self) -> str:
        """``json``, ``choice`` or ``regex``."""
        if self.schema is not None:
            return "json"
        return "choice" if self.choices else "regex"


@dataclass(frozen=True, slots=True)
class LogprobDemand:
    """The log probabilities that a call asks for."""

    top: int | None = None
    """Alternatives for each token of the answer; None wants no log probabilities of it."""
    prompt: int | None = None
    """Alternatives for each token of the prompt; None wants none."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call, checked."""

    prompt: str
    """The whole prompt in Llama's template, as the model would get it."""
    turns: tuple[Turn, ...]
    sampling: Sampling
    pictures: tuple[Picture, ...] = ()
    picture_count: int = 0
    """The number of pictures sent; more than ``pictures`` when the emulator decodes none."""
    guarded: NamedGuardrail | None = None
    format: BodyFormat = BodyFormat.LLAMA
    constraint: Constraint | None = None
    logprobs: LogprobDemand | None = None

    @property
    def question(self) -> str:
        """The text of the last user turn."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def system(self) -> str:
        """The system text, empty if there is none."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "system")


@dataclass(frozen=True, slots=True)
class Alternative:
    """An alternative token at one position."""

    token: str
    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A token, and how likely it was at its place."""

    token: str
    id: int
    logprob: float
    """Natural logarithm of its probability."""
    top: tuple[Alternative, ...] = ()
    """The likeliest tokens of the place, itself among them, likeliest first."""


@dataclass(frozen=True, slots=True)
class GuardOutcome:
    """A guardrail's effect on a call."""

    intervened: bool
    trace: dict[str, Any] | None = None
    """The guardrail's assessments of question and answer, if the caller asked for them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One generation, cut where the caller's limit cut it."""

    pieces: tuple[str, ...]
    """The text of each token in turn."""
    prompt_tokens: int
    stop: str
    """``stop``, ``length``, ``stop_sequence`` or ``guardrail``."""
    guard: GuardOutcome | None = None
    """None when the call named no guardrail."""
    scores: tuple[TokenScore, ...] = ()
    """One for each piece, where the call wanted log probabilities."""
    prompt_scores: tuple[TokenScore, ...] | None = None
    """One for each token of the prompt, where the call wanted them."""

    @property
    def text(self) -> str:
        """The whole generation."""
        return "".join(self.pieces)
