"""One run of a task: its questions asked, each repaired at most once, and put together."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.errors import (
    ServiceError,
)
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    Role,
    StopReason,
    Turn,
    summed,
)
from app.domain.image import Caveat, ImageReport
from app.services.answers.form import AnswerError, read
from app.services.documents.page import Origin
from app.services.documents.page_images import Shot
from app.services.generation.multiple_images import common
from app.services.generation.service import GenerationService
from app.services.geometry import View
from app.services.task_runner.request import Notify, Progress, RawAnswer, TaskAnswer, TaskRequest
from app.services.tasks.prompt import SYSTEM, correction, prompt
from app.services.tasks.spec import (
    Finding,
    Question,
    Result,
    UnansweredError,
)


@dataclass(frozen=True, slots=True)
class _Asking:
    question: Question[Any]
    position: int
    turn: Turn[ImageInput]


@dataclass(slots=True)
class Run:
    """What is learnt on the way to one answer."""

    request: TaskRequest
    generations: GenerationService
    turn: asyncio.Semaphore
    notify: Notify
    asked: list[tuple[int, Generation]] = field(default_factory=list)
    """Every answer with its question's position, as they came."""
    images: dict[int, ImageReport] = field(default_factory=dict)
    """By position, each once however often it was shown."""
    shown: dict[int, Shot] = field(default_factory=dict)
    """By position, of the questions about one picture or page."""
    repairs: int = 0
    warnings: dict[str, Caveat] = field(default_factory=dict)
    """By code, or by message where it names a page."""
    failures: list[ServiceError] = field(default_factory=list)
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def ask_all(
        self, questions: Sequence[Question[Any]], shots: Sequence[Shot]
    ) -> list[Finding[Any]]:
        """Ask all ``questions``, a few at a time, and the follow-up; keep their order."""
        done = 0

        async def ask(position: int, question: Question[Any]) -> Finding[Any]:
            nonlocal done
            async with self.turn:
                shown = [shots[image] for image in question.images]
                finding = await self._ask(question, position, shown)
            done += 1
            if len(questions) > 1:
                self.notify(self._progress(done, len(questions), finding))
            return finding

        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(i, question)) for i, question in enumerate(questions)]
        findings = [task.result() for task in asking]
        if self.failures and len(self.failures) == len(findings):
            raise self.failures[0]
        follow_up = self.request.task.follow_up
        last = follow_up(self.request.parameters, findings) if follow_up else None
        return findings if last is None else [*findings, await self._ask(last, len(findings), ())]

    def _progress(self, done: int, total: int, finding: Finding[Any]) -> Progress:
        told = self.request.task.told
        text = told(finding.answer) if told and finding.answer is not None else None
        return Progress(done, total, finding.page, finding.fault, text)

    async def _ask(
        self, question: Question[Any], position: int, shots: Sequence[Shot]
    ) -> Finding[Any]:
        page, origin = (shots[0].page, shots[0].origin) if shots else (1, Origin())
        if len(shots) == 1:
            self.shown[position] = shots[0]
        try:
            turn = Turn(Role.USER, told(question.text), await self._load(shots))
            asking = _Asking(question, position, turn)
            generation = await self._generate(position, turn)
        except ServiceError as error:
            self.failures.append(error)
            return Finding(None, f"{error.code}: {error.detail}", page=page, origin=origin)
        reports = [
            replace(report, scale=report.scale * shot.scale)
            for report, shot in zip(generation.images, shots, strict=True)
        ]
        self.images.update(zip(question.images, reports, strict=True))
        answer, fault = await self._read(asking, generation)
        return Finding(answer, fault, _view(shots, reports), page, origin)

    async def _load(self, shots: Sequence[Shot]) -> tuple[ImageInput, ...]:
        async with self.generations.drain.before(self.request.terms.deadline):
            shown = [await shot.load() for shot in shots]
        for caveat in (caveat for one in shown for caveat in one.caveats):
            # Each of its own: it names the page.
            self.warnings.setdefault(caveat.message, caveat)
        return tuple(one.image for one in shown)

    async def _read(self, asking: _Asking, generation: Generation) -> tuple[Any, str | None]:
        """Return the answer and None, or None and what is wrong with it."""
        text, stop = generation.completion.text, generation.completion.stop_reason
        try:
            answer = await asyncio.to_thread(read, text, asking.question.form)
        except AnswerError as error:
            # What was cut off would be cut off again, and a guardrail would step in again.
            if stop in (StopReason.LENGTH, StopReason.GUARDRAIL):
                return None, f"{error} (the answer ended by {stop})"
            return await self._repair(asking, text, error)
        if stop is StopReason.LENGTH:
            self._warn(
                "answer_cut_off",
                "The answer was cut off at max_gen_len; given is what was complete by then.",
            )
        return answer, None

    async def _repair(
        self, asking: _Asking, text: str, error: AnswerError
    ) -> tuple[Any, str | None]:
        self.repairs += 1
        form = asking.question.form
        said: Turn[ImageInput] = Turn(Role.ASSISTANT, text)
        asked: Turn[ImageInput] = Turn(Role.USER, correction(error, form.schema))
        try:
            again = await self._generate(asking.position, asking.turn, said, asked)
            return await asyncio.to_thread(read, again.completion.text, form), None
        except AnswerError as still:
            return None, f"{still} (also after a repair)"
        except ServiceError as failure:
            # The first answer was paid for: it must not be lost for the second one's failure.
            return None, f"{error} (the repair failed: {failure.code})"

    async def _generate(self, position: int, *turns: Turn[ImageInput]) -> Generation:
        generation = await self.generations.generate(
            GenerationRequest(
                turns=turns,
                sampling=self.request.sampling,
                strategy=_strategy(turns[0]),
                language=self.request.language,
                terms=self.request.terms,
            )
        )
        self.asked.append((position, generation))
        for caveat in generation.warnings:
            self._warn(caveat.code, caveat.message)
        return generation

    def _warn(self, code: str, message: str) -> None:
        self.warnings.setdefault(code, Caveat(code, message))

    async def conclude(
        self, findings: Sequence[Finding[Any]]
    ) -> tuple[Result | None, tuple[str, ...]]:
        """Return the result, or why there is none."""
        try:
            # In a thread: a task may draw a layer.
            conclude = self.request.task.conclude
            return await asyncio.to_thread(conclude, self.request.parameters, findings), ()
        except UnansweredError as error:
            return None, error.faults

    def answer(self, result: Result | None, faults: tuple[str, ...]) -> TaskAnswer:
        """Put everything together."""
        task = self.request.task
        own, system = prompt(task.name), prompt(SYSTEM)
        return TaskAnswer(
            task=task.name,
            prompt_version=f"{own.name}-{own.version}+{system.name}-{system.version}",
            result=result,
            faults=faults,
            repaired=self.repairs > 0,
            calls=len(self.asked),
            generation=self._together(),
            raw=tuple(self._raw(position, generation) for position, generation in self._in_order()),
        )

    def _in_order(self) -> list[tuple[int, Generation]]:
        # Sorted by position alone: a repair comes after what it repairs.
        return sorted(self.asked, key=lambda pair: pair[0])

    def _raw(self, position: int, generation: Generation) -> RawAnswer:
        text, shot = generation.completion.text, self.shown.get(position)
        if shot is None:
            return RawAnswer(text)
        return RawAnswer(text, shot.page, shot.origin.file, shot.origin.number)

    def _together(self) -> Generation:
        asked = [generation for _, generation in self._in_order()]
        completions = [generation.completion for generation in asked]
        cut = next(
            (c for c in completions if c.stop_reason is not StopReason.STOP), completions[-1]
        )
        elapsed = asyncio.get_running_loop().time() - self.started
        return Generation(
            id=f"task_{uuid.uuid4().hex}",
            model=asked[0].model,
            completion=Completion(
                text="\n\n".join(completion.text for completion in completions),
                usage=summed([completion.usage for completion in completions]),
                stop_reason=cut.stop_reason,
                stop_reason_raw=cut.stop_reason_raw,
                target=common([completion.target for completion in completions], None),
            ),
            images=tuple(self.images[position] for position in sorted(self.images)),
            warnings=tuple(self.warnings.values()),
            latency=Latency(total=round(elapsed * 1000), model=sum(g.latency.model for g in asked)),
        )


def told(text: str) -> str:
    """Return a question with what holds for every question before it.

    Not in a system turn: Meta's own template has none beside a picture.
    """
    return f"{prompt(SYSTEM).text}\n\n{text}"


def _view(shots: Sequence[Shot], reports: Sequence[ImageReport]) -> View | None:
    """Return what was shown; None where that was nothing or a sheet of several."""
    if len(shots) != 1 or len(reports) != 1:
        return None
    return shots[0].view or View.whole(reports[0])


def _strategy(turn: Turn[ImageInput]) -> ImageStrategy:
    return ImageStrategy.CONTACT_SHEET if len(turn.images) > 1 else ImageStrategy.SINGLE
