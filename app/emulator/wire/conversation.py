"""What a caller asks, whichever operation carried it, and what the emulator answers."""

from dataclasses import dataclass
from typing import Any

MAX_GENERATION = 2048
DEFAULT_GENERATION = 512


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that passed the contract's checks."""

    data: bytes
    sha256: str
    """Of ``data``, lower-case hexadecimal."""
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
    """How an answer is drawn, with the defaults that AWS documents for Llama."""

    temperature: float = 0.5
    top_p: float = 0.9
    max_gen_len: int = DEFAULT_GENERATION
    stop_sequences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guarded:
    """Which guardrail a call named."""

    identifier: str
    version: str
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One call, checked."""

    prompt: str
    """The whole prompt in Llama's template, as the model would get it."""
    turns: tuple[Turn, ...]
    sampling: Sampling
    pictures: tuple[Picture, ...] = ()
    picture_count: int = 0
    """As many as were sent; more than ``pictures`` when the emulator decodes none."""
    guarded: Guarded | None = None

    @property
    def question(self) -> str:
        """The text of the last user turn."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def system(self) -> str:
        """The system text, empty if there is none."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "system")


@dataclass(frozen=True, slots=True)
class GuardOutcome:
    """What a guardrail did to a call."""

    intervened: bool
    trace: dict[str, Any] | None = None
    """Its assessments of question and answer, if the caller wants to see them."""


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

    @property
    def text(self) -> str:
        """The whole generation."""
        return "".join(self.pieces)
