"""The record of one task's calls, and what is told of them beside the result."""

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.generation import Generation, Latency, StopReason
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning, ImageReport
from app.domain.usage import Usage, summed
from app.services.answers.text.notes import Refusal
from app.services.documents.page_images import Shot
from app.services.generation.combine import combined, reported
from app.services.task_runner.request import RawAnswer
from app.services.tasks.spec import Finding


@dataclass(slots=True)
class Transcript:
    """Every answer, with its warnings and refusals, from the first question on."""

    several: bool = False
    """Whether there is more than one page, so that a warning has to name its own."""
    repaired: bool = False
    """Whether an answer was asked for again."""
    shown: dict[int, Shot] = field(default_factory=dict)
    """Pictures by the position of the question, for questions about one picture or page."""
    _warnings: dict[tuple[str, str], AnswerWarning] = field(default_factory=dict)
    _asked: list[tuple[int, Generation]] = field(default_factory=list)
    """Every answer with its question's position, as they came."""
    _images: dict[int, ImageReport] = field(default_factory=dict)
    """Reports by the picture's position, each once however often it was shown."""
    _refusals: list[tuple[int, Refusal]] = field(default_factory=list)
    """Refusals, each with the number of the page that was asked about."""
    _lost: list[Usage] = field(default_factory=list)
    """What was paid for answers that a guardrail held back."""
    _started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def calls(self) -> int:
        """How often the model answered, what is not given included."""
        # A guardrail that blocks the prompt costs no tokens.
        return len(self._asked) + sum(paid.prompt_token_count != 0 for paid in self._lost)

    @property
    def refusal(self) -> Refusal | None:
        """The first refusal, where there was one."""
        return self._refusals[0][1] if self._refusals else None

    def add(
        self,
        position: int,
        generations: Sequence[Generation],
        images: Iterable[tuple[int, ImageReport]],
    ) -> None:
        """Record the answers to one question, and the pictures that it showed by their position."""
        self._images.update(images)
        self.repaired |= len(generations) > 1
        for generation in generations:
            self._asked.append((position, generation))
            self.warn(generation.warnings)

    def lose(self, paid: Usage | None) -> None:
        """Record what was paid for an answer that is not given, if anything was."""
        if paid is not None:
            self._lost.append(paid)

    @property
    def lost(self) -> Usage | None:
        """What was paid for answers that are not given; None for nothing."""
        return summed(self._lost) if self._lost else None

    def note(self, finding: Finding[Any]) -> None:
        """Record what is to be said beside the answer that is given."""
        self.warn(finding.warnings, finding.page)
        if finding.refusal is not None:
            self._refusals.append((finding.page, finding.refusal))

    def warn(self, warnings: Iterable[AnswerWarning], page: int | None = None) -> None:
        """Record warnings, each once, with their page where there are several."""
        for warning in warnings:
            message = self._of_page(page, warning.message)
            self._warnings.setdefault((warning.code, message), AnswerWarning(warning.code, message))

    def refused(self) -> Iterator[str]:
        """Yield what the model would not say, beside what it said."""
        return (self._of_page(page, str(refusal)) for page, refusal in self._refusals)

    def raw(self) -> tuple[RawAnswer, ...]:
        """Return the texts as the model wrote them, in the order of the questions."""
        return tuple(self._raw(position, generation) for position, generation in self._in_order())

    def together(self, report: GuardrailReport | None) -> Generation:
        """Return one generation of all; ``report`` is on texts beside the model's own."""
        asked = [generation for _, generation in self._in_order()]
        completions = [generation.completion for generation in asked]
        elapsed = asyncio.get_running_loop().time() - self._started
        together = combined(
            asked,
            id=f"task_{uuid.uuid4().hex}",
            text="\n\n".join(completion.text for completion in completions),
            latency=Latency(total=round(elapsed * 1000), model=sum(g.latency.model for g in asked)),
            images=[self._images[position] for position in sorted(self._images)],
            warnings=tuple(self._warnings.values()),
            stop=next(
                (c for c in completions if c.stop_reason is not StopReason.STOP), completions[-1]
            ),
            lost=self._lost,
        )
        return reported(together, report)

    def _of_page(self, page: int | None, text: str) -> str:
        return f"page {page}: {text}" if self.several and page is not None else text

    def _in_order(self) -> Sequence[tuple[int, Generation]]:
        # Sorted by position alone: a repair comes after what it repairs.
        return sorted(self._asked, key=lambda pair: pair[0])

    def _raw(self, position: int, generation: Generation) -> RawAnswer:
        text, shot = generation.completion.text, self.shown.get(position)
        if shot is None:
            return RawAnswer(text)
        return RawAnswer(text, shot.page, shot.origin.file, shot.origin.number)
