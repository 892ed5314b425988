"""Notes that are taken while an answer is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from app.domain.image import AnswerWarning
from app.services.answers.text.numbers import Separator

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model says that it won't answer."""

    words: str
    image_not_seen: bool = False
    """Whether it says that there is no picture, and nothing against the question."""

    @property
    def code(self) -> str:
        """``image_not_seen`` or ``refused``."""
        return "image_not_seen" if self.image_not_seen else "refused"

    def __str__(self) -> str:
        return f"{self.code}: {self.words}"


@dataclass(slots=True)
class Notes:
    """Collects what a caller is told beside an answer."""

    cut: bool = False
    """Whether the answer was cut off: what is missing then was not left out by the model."""
    lenient: bool = False
    """Whether this is the last reading: what is wrong is left out, if anything remains."""
    decimal: Separator | None = None
    """The decimal sign of the answer's numbers, if they agree."""
    warnings: dict[tuple[str, str], AnswerWarning] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)
    """Doubts that the model is asked about once more, although the answer may stand."""

    def say(self, code: str, message: str) -> None:
        """Tell the caller."""
        self.warnings.setdefault((code, message), AnswerWarning(code, message))

    def doubt(self, fault: str) -> None:
        """Have the model asked again; told as a contradiction if it stays."""
        self.doubts[fault] = None


@dataclass(frozen=True, slots=True)
class Reading(Generic[AnswerT_co]):
    """An answer as it was read."""

    answer: AnswerT_co | None
    """None where the model refused."""
    warnings: tuple[AnswerWarning, ...] = ()
    refusal: Refusal | None = None


class AnswerError(ValueError):
    """An answer is not of the form asked for."""

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
