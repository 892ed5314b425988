"""One run of a task: asks its questions, each repaired at most once, and concludes."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from string import Template
from typing import Any

from pydantic import BaseModel

from app.domain.errors import (
    DeadlineExceededError,
    GuardrailBlockedError,
    GuardrailUnavailableError,
    ServiceError,
)
from app.domain.generation import GenerationRequest, ImageInput, ImageStrategy, Role, Turn
from app.domain.image import AnswerWarning, ImageReport
from app.services.answers.repair import FormAsker, Formed
from app.services.concurrency.idempotency import slim
from app.services.documents.page import Origin
from app.services.documents.page_images import Shot
from app.services.geometry import View
from app.services.task_runner.disclosure import Disclosure
from app.services.task_runner.request import (
    Notify,
    Progress,
    TaskAnswer,
    TaskRequest,
    ignored,
)
from app.services.task_runner.transcript import Transcript
from app.services.task_runner.verification import Verification
from app.services.tasks.prompt import SYSTEM, TEXT_ONLY, prompt
from app.services.tasks.spec import Finding, Question, Result, UnansweredError

AHEAD = 16
"""Maximum questions of one task that are in progress, including those whose image waits for the OCR
engine; it bounds the images in memory."""


@dataclass(slots=True)
class Run:
    """The state of one task in progress."""

    request: TaskRequest
    asker: FormAsker
    max_images: int
    """Maximum images that the model takes in one call."""
    slots: asyncio.Semaphore
    """Slots for the concurrent calls of the model."""
    notify: Notify
    verification: Verification
    disclosure: Disclosure
    transcript: Transcript = field(default_factory=Transcript)
    failures: dict[int, ServiceError] = field(default_factory=dict)
    """Failures by the position of the question, in the order in which they occurred."""
    retries: dict[int, int] = field(default_factory=dict)
    """The number of retries by the position of the question."""

    async def ask_all(
        self, questions: Sequence[Question[Any]], shots: Sequence[Shot]
    ) -> list[Finding[Any]]:
        """Ask all ``questions``, a few at a time, and the follow-up; keep their order.

        If the request has patience, questions with transient failures are asked again while other
        questions have answers, which would otherwise have to be paid for again. Raises the first
        failure if all questions failed.
        """
        done, ahead = 0, asyncio.Semaphore(AHEAD)
        self.transcript.several = len({shot.page for shot in shots}) > 1
        findings: dict[int, Finding[Any]] = {}
        waits: dict[int, float] = {}

        async def ask(position: int) -> None:
            nonlocal done
            question = questions[position]
            shown = [shots[image] for image in question.images]
            async with ahead:
                async with self.slots:
                    finding = await self._ask(question, position, shown)
                # Outside its slot, so that other questions do not wait for the OCR engine.
                await self._read(position)
                finding = await self._confirmed(question, position, shown, finding)
                self.transcript.note(finding)
                finding = await self._disclosed(finding)
            findings[position] = finding
            if (wait := self._wait(position)) is not None:
                waits[position] = wait
                return
            part = await self._page_result(finding)
            done += 1
            if len(questions) > 1:
                self.notify(self._progress(done, len(questions), finding, part))

        left: Collection[int] = range(len(questions))
        while left:
            async with asyncio.TaskGroup() as group:
                for position in left:
                    group.create_task(ask(position))
            if self.failures and len(self.failures) == len(questions):
                error = next(iter(self.failures.values()))
                error.usage = self.transcript.lost
                raise error
            left = tuple(waits) if await self._waited(waits.values()) else ()
            waits.clear()
        answers = [findings[position] for position in range(len(questions))]
        follow_up = self.request.task.follow_up
        last = follow_up(self.request.parameters, answers) if follow_up else None
        if last is None:
            return answers
        finding = await self._ask(last, len(answers), ())
        self.transcript.note(finding)
        return [*answers, finding]

    def _wait(self, position: int) -> float | None:
        """Return the seconds until a failed question is asked again, or None if it is not."""
        error = self.failures.get(position)
        if error is None:
            return None
        times = self.retries[position] = self.retries.get(position, -1) + 1
        return self.request.patience(error, times)

    async def _waited(self, waits: Collection[float]) -> bool:
        """Wait for the next retry; return False if there is none or no time is left."""
        if not waits:
            return False
        try:
            async with self.asker.drain.before(self.request.call_context.deadline):
                await asyncio.sleep(min(waits))
        except DeadlineExceededError:
            # The other answers are paid for and are returned without the missing ones.
            return False
        return True

    @property
    def version(self) -> str:
        """Return the names and versions of the task's and the system prompt."""
        own, system = prompt(self.request.task.name), prompt(SYSTEM)
        return f"{own.name}-{own.version}+{system.name}-{system.version}"

    def _progress(
        self, done: int, total: int, finding: Finding[Any], part: BaseModel | None
    ) -> Progress:
        text_of = self.request.task.progress_text
        text = text_of(finding.answer) if text_of and finding.answer is not None else None
        return Progress(done, total, finding.page, finding.fault, text, finding.origin, part)

    async def _page_result(self, finding: Finding[Any]) -> BaseModel | None:
        """Return the page's part of the result if the caller follows the progress."""
        paged = self.request.task.images.documents
        if self.notify is ignored or not paged or finding.answer is None:
            return None
        return await self.asker.reader.run(self._concluded, finding)

    def _concluded(self, finding: Finding[Any]) -> BaseModel | None:
        try:
            result: Any = self.request.task.conclude(self.request.parameters, [finding])
        except UnansweredError:
            return None
        part: BaseModel = result.pages[0]
        return part

    async def _ask(
        self,
        question: Question[Any],
        position: int,
        shots: Sequence[Shot],
        *,
        again: bool = False,
    ) -> Finding[Any]:
        page, origin = (shots[0].page, shots[0].origin) if shots else (1, Origin())
        if len(shots) == 1:
            self.transcript.shown[position] = shots[0]
        try:
            text = self._question_text(question)
            turn = Turn(Role.USER, text, await self._load(shots))
            request = self._generation(turn)
            formed = await self.asker.ask(request, question.form, question.measures, once=again)
        except ServiceError as error:
            self.transcript.lose(error.usage)
            if not again:
                # Its traceback would keep this run and all its pages alive in a reference cycle.
                self.failures[position] = error.with_traceback(None)
            return Finding(None, f"{error.code}: {error.detail}", page=page, origin=origin)
        self.failures.pop(position, None)
        # The images of a thousand pages would take hundreds of megabytes; only OCR needs them.
        generations = [slim(generation) for generation in formed.generations]
        reports = [
            replace(report, scale=report.scale * shot.scale)
            for report, shot in zip(generations[0].images, shots, strict=True)
        ]
        images = zip(question.images, reports, strict=True)
        self.transcript.add(position, generations, images)
        self.transcript.lose(formed.lost)
        view = _view(shots, reports)
        if not again and len(reports) == 1:
            picture = formed.generations[0].images[0].prepared.data
            self.verification.keep(position, picture, page, origin, view)
        return replace(_finding(formed, page, view), origin=origin)

    async def _read(self, position: int) -> None:
        now, deadline = asyncio.get_running_loop().time(), self.request.call_context.deadline
        # The answer is paid for and others are still to come, so OCR gets half of the time left.
        until = now + max(0, deadline - now) / 2
        with contextlib.suppress(ServiceError):
            async with self.asker.drain.before(until):
                await self.verification.read(position)

    async def _confirmed(
        self,
        question: Question[Any],
        position: int,
        shots: Sequence[Shot],
        finding: Finding[Any],
    ) -> Finding[Any]:
        async def again(question: Question[Any]) -> Finding[Any]:
            async with self.slots:
                return await self._ask(question, position, shots, again=True)

        return await self.verification.confirmed(position, question, finding, again)

    async def _disclosed(self, finding: Finding[Any]) -> Finding[Any]:
        """Return ``finding`` with its page's embedded text as released by the guardrail."""
        shown = await self.disclosure.layer(finding)
        if shown is not finding:
            self.transcript.warn(shown.warnings[len(finding.warnings) :], finding.page)
        return shown

    def _question_text(self, question: Question[Any]) -> str:
        """Return a question's prompt with the common instructions, before its form is added.

        A system turn is not used because Meta's template has none beside an image. The language
        instruction comes before the form and says what must not be translated.
        """
        always = prompt(SYSTEM if question.images else TEXT_ONLY).text
        language, own = self.request.language, question.language
        wish = self.request.task.language if own is None else own
        instruction = (
            Template(wish).substitute(language=language.label) if language and wish else ""
        )
        return "\n\n".join([always, f"{question.text}\n{instruction}".strip()])

    async def _load(self, shots: Sequence[Shot]) -> tuple[ImageInput, ...]:
        async with self.asker.drain.before(self.request.call_context.deadline):
            shown = [await shot.load() for shot in shots]
        for one in shown:
            self.transcript.warn(one.warnings)
        return tuple(one.image for one in shown)

    def _generation(self, turn: Turn[ImageInput]) -> GenerationRequest:
        return GenerationRequest(
            turns=(turn,),
            sampling=self.request.sampling,
            strategy=_strategy(turn, self.max_images),
            language=self.request.language,
            language_asked=True,
            call_context=replace(self.request.call_context, task=self.version),
        )

    async def conclude(
        self, findings: Sequence[Finding[Any]]
    ) -> tuple[Result | None, tuple[str, ...]]:
        """Return the result, or None and the faults that prevent one."""
        try:
            # In a thread, since a task may draw a layer.
            conclude = self.request.task.conclude
            result = await self.asker.reader.run(conclude, self.request.parameters, findings)
            result = await self._composed(result, findings)
            self.transcript.warn(self.request.task.cautions(self.request.parameters, result))
            return result, ()
        except UnansweredError as error:
            return None, error.faults

    async def _composed(self, result: Result, findings: Sequence[Finding[Any]]) -> Result:
        """Return ``result`` with texts composed of several answers masked by the guardrail."""
        in_pieces = len({finding.page for finding in findings}) < len(findings)
        if not (self.request.task.composed and in_pieces and self.disclosure.judges):
            return result
        texts = await self.asker.reader.run(self.disclosure.unjudged, result, findings)
        try:
            return await self.disclosure.composed(result, texts)
        except (GuardrailBlockedError, GuardrailUnavailableError) as error:
            completion = self.transcript.together(self.disclosure.report).completion
            error.usage, error.report = completion.usage, completion.guardrail
            raise

    async def answer(self, result: Result | None, faults: tuple[str, ...]) -> TaskAnswer:
        """Return the task's answer with its evidence, warnings and usage."""
        evidence: dict[str, Any] | None = None
        warnings: tuple[AnswerWarning, ...] = ()
        if result is not None:
            evidence, warnings = await self.verification.evidence(result, self.disclosure)
        self.transcript.warn(warnings)
        task = self.request.task
        return TaskAnswer(
            task=task.name,
            prompt_version=self.version,
            result=result,
            evidence=evidence,
            faults=faults if result is None else tuple(self.transcript.refused()),
            refusal=self.transcript.refusal,
            repaired=self.transcript.repaired,
            calls=self.transcript.calls,
            generation=self.transcript.together(self.disclosure.report),
            raw=self.transcript.raw(),
        )


def _finding(formed: Formed[Any], page: int, view: View | None) -> Finding[Any]:
    reading = formed.reading
    if reading is None:
        return Finding(None, "; ".join(formed.faults), page=page)
    return Finding(
        reading.answer,
        str(reading.refusal) if reading.answer is None else None,
        reading.warnings,
        view,
        page,
        chances=formed.chances,
        refusal=reading.refusal,
    )


def _view(shots: Sequence[Shot], reports: Sequence[ImageReport]) -> View | None:
    """Return the view of the only image shown; None for no image or several."""
    if len(shots) != 1 or len(reports) != 1:
        return None
    return shots[0].view or View.whole(reports[0])


def _strategy(turn: Turn[ImageInput], most: int) -> ImageStrategy:
    fits = len(turn.images) <= most
    return ImageStrategy.SINGLE if fits else ImageStrategy.CONTACT_SHEET
