"""Records one task's calls, warnings, refusals and usage."""

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
    """All answers of one task, with their warnings and refusals."""

    several: bool = False
    """Whether there are several pages, so that warnings must name theirs."""
    repaired: bool = False
    """Whether the model was asked to repair an answer."""
    shown: dict[int, Shot] = field(default_factory=dict)
    """Images of single-image questions, by the position of the question."""
    _warnings: dict[tuple[str, str], AnswerWarning] = field(default_factory=dict)
    _asked: list[tuple[int, Generation]] = field(default_factory=list)
    """Every answer with its question's position, in order of arrival."""
    _images: dict[int, ImageReport] = field(default_factory=dict)
    """Image reports by the image's position, once for each image."""
    _refusals: list[tuple[int, Refusal]] = field(default_factory=list)
    """Refusals, each with the page number of its question."""
    _lost: list[Usage] = field(default_factory=list)
    """Usage paid for answers that are not returned, such as blocked ones."""
    _started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    @property
    def calls(self) -> int:
        """Return the number of model answers, including those not returned."""
        # A guardrail that blocks the prompt costs no tokens.
        return len(self._asked) + sum(paid.prompt_token_count != 0 for paid in self._lost)

    @property
    def refusal(self) -> Refusal | None:
        """Return the first refusal, or None."""
        return self._refusals[0][1] if self._refusals else None

    def add(
        self,
        position: int,
        generations: Sequence[Generation],
        images: Iterable[tuple[int, ImageReport]],
    ) -> None:
        """Record the answers to one question and the reports of its images by position."""
        self._images.update(images)
        self.repaired |= len(generations) > 1
        for generation in generations:
            self._asked.append((position, generation))
            self.warn(generation.warnings)

    def lose(self, paid: Usage | None) -> None:
        """Record usage paid for an answer that is not returned, if any."""
        if paid is not None:
            self._lost.append(paid)

    @property
    def lost(self) -> Usage | None:
        """Return the usage paid for answers that are not returned, or None."""
        return summed(self._lost) if self._lost else None

    def note(self, finding: Finding[Any]) -> None:
        """Record the warnings and the refusal of an answer."""
        self.warn(finding.warnings, finding.page)
        if finding.refusal is not None:
            self._refusals.append((finding.page, finding.refusal))

    def warn(self, warnings: Iterable[AnswerWarning], page: int | None = None) -> None:
        """Record warnings, each once, with the page number if there are several pages."""
        for warning in warnings:
            message = self._of_page(page, warning.message)
            self._warnings.setdefault((warning.code, message), AnswerWarning(warning.code, message))

    def refused(self) -> Iterator[str]:
        """Yield the refusals as texts."""
        return (self._of_page(page, str(refusal)) for page, refusal in self._refusals)

    def raw(self) -> tuple[RawAnswer, ...]:
        """Return the raw texts of all calls, in the order of the questions."""
        return tuple(self._raw(position, generation) for position, generation in self._in_order())

    def together(self, report: GuardrailReport | None) -> Generation:
        """Return one combined generation; ``report`` covers texts that are not the model's."""
        generations = [generation for _, generation in self._in_order()]
        completions = [generation.completion for generation in generations]
        elapsed = asyncio.get_running_loop().time() - self._started
        together = combined(
            generations,
            id=f"task_{uuid.uuid4().hex}",
            text="\n\n".join(completion.text for completion in completions),
            latency=Latency(
                total=round(elapsed * 1000), model=sum(g.latency.model for g in generations)
            ),
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
        # A stable sort by position keeps a repair after the answer that it repairs.
        return sorted(self._asked, key=lambda pair: pair[0])

    def _raw(self, position: int, generation: Generation) -> RawAnswer:
        text, shot = generation.completion.text, self.shown.get(position)
        if shot is None:
            return RawAnswer(text)
        return RawAnswer(text, shot.page, shot.origin.file, shot.origin.number)
