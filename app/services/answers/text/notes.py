"""Notes taken while an answer is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from app.domain.image import AnswerWarning
from app.services.answers.text.numbers import Separator

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's refusal to answer."""

    words: str
    image_not_seen: bool = False
    """Whether the model only says that there is no image."""

    @property
    def code(self) -> str:
        """Return ``image_not_seen`` or ``refused``."""
        return "image_not_seen" if self.image_not_seen else "refused"

    def __str__(self) -> str:
        return f"{self.code}: {self.words}"


@dataclass(slots=True)
class Notes:
    """Collects warnings and doubts about an answer."""

    cut: bool = False
    """Whether the answer was cut off, so that missing values were not left out by the model."""
    lenient: bool = False
    """Whether this is the last reading, which leaves out invalid parts if anything remains."""
    decimal: Separator | None = None
    """The decimal sign of the answer's numbers, or None if they disagree."""
    warnings: dict[tuple[str, str], AnswerWarning] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)
    """Doubts that cause a repair, although the answer may be valid."""

    def say(self, code: str, message: str) -> None:
        """Add a warning for the caller."""
        self.warnings.setdefault((code, message), AnswerWarning(code, message))

    def doubt(self, fault: str) -> None:
        """Add a doubt that causes a repair; if it persists, it becomes a warning."""
        self.doubts[fault] = None


@dataclass(frozen=True, slots=True)
class Reading(Generic[AnswerT_co]):
    """An answer that was read, with its warnings and refusal."""

    answer: AnswerT_co | None
    """The answer; None if the model refused."""
    warnings: tuple[AnswerWarning, ...] = ()
    refusal: Refusal | None = None


class AnswerError(ValueError):
    """An answer is not in the requested form."""

    def __init__(
        self,
        faults: Iterable[str],
        fallback: "Reading[Any] | None" = None,
        *,
        looped: bool = False,
    ) -> None:
        self.faults = tuple(faults)
        """One line each, with the place of the fault; never the whole answer."""
        super().__init__("; ".join(self.faults))
        self.fallback = fallback
        """The answer to give if the model can't do better."""
        self.looped = looped
        """Whether the model said the same again and again."""
