"""Running a task: its questions, each repaired at most once, and what follows from the answers."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.cost import added
from app.domain.errors import (
    FieldError,
    ImagesMissingError,
    InvalidParameterError,
    ServiceError,
    TooManyImagesError,
)
from app.domain.generation import (
    Completion,
    Generation,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    Role,
    Sampling,
    StopReason,
    Terms,
    Turn,
    Usage,
)
from app.domain.image import Caveat, ImageReport
from app.domain.model import Language
from app.services.answers.form import AnswerError, read
from app.services.documents.page import PageRangeError
from app.services.documents.shots import Documents, Shot, shot_of
from app.services.generation import GenerationService
from app.services.geometry import View
from app.services.tasks.prompt import SYSTEM, correction, prompt
from app.services.tasks.spec import (
    DocumentParameters,
    Finding,
    Parameters,
    Question,
    Result,
    Task,
    TaskParameterError,
    UnansweredError,
)
from app.telemetry import current

CONCURRENCY = 4
"""Calls of one task that run at a time."""


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """What a caller asks for."""

    task: Task[Any, Any]
    parameters: Parameters
    images: tuple[ImageInput, ...]
    sampling: Sampling
    language: Language | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What a caller gets."""

    task: str
    prompt_version: str
    result: Result | None
    """None where the model's answer could not be made valid."""
    faults: tuple[str, ...]
    """Why ``result`` is None."""
    repaired: bool
    """Whether an answer was asked for again."""
    calls: int
    """Calls of the model, all of them paid for."""
    generation: Generation
    """Raw texts, token counts and latencies of all calls together."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One question of several has been dealt with."""

    done: int
    total: int
    page: int
    fault: str | None


Notify = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class TaskService:
    """Runs tasks."""

    generations: GenerationService
    documents: Documents
    concurrency: int = CONCURRENCY

    async def run(self, request: TaskRequest, notify: Notify = lambda _: None) -> TaskAnswer:
        """Return the task's answer, or raise one of `app.domain.errors`.

        A question that failed is told in the result as long as another one was answered.
        """
        current().task = request.task.name
        _check(request)
        run = _Run(request, self.generations, asyncio.Semaphore(self.concurrency), notify)
        async with AsyncExitStack() as held:
            with _parameters():
                shots = await self._shots(request, held)
                questions = request.task.questions(request.parameters, len(shots))
            findings = await run.ask_all(questions, shots)
        result, faults = await run.conclude(findings)
        return run.answer(result, faults)

    async def _shots(self, request: TaskRequest, held: AsyncExitStack) -> list[Shot]:
        match request.parameters:
            case DocumentParameters(pages=pages, detail=detail):
                async with self.generations.drain.before(request.terms.deadline):
                    return await held.enter_async_context(
                        self.documents.shots(request.images, pages, detail)
                    )
            case _:
                return [shot_of(image, page) for page, image in enumerate(request.images, 1)]


def _check(request: TaskRequest) -> None:
    accepted = request.task.images
    if len(request.images) < accepted.least:
        raise ImagesMissingError(
            f"images: {request.task.name} takes at least {accepted.least}; "
            f"{len(request.images)} were given"
        )
    if len(request.images) > accepted.most:
        raise TooManyImagesError(
            f"images: {request.task.name} takes at most {accepted.most}; "
            f"{len(request.images)} were given"
        )


@contextmanager
def _parameters() -> Iterator[None]:
    """Name the parameter at fault."""
    try:
        yield
    except (TaskParameterError, PageRangeError) as error:
        name = error.parameter if isinstance(error, TaskParameterError) else "pages"
        raise InvalidParameterError(
            f"{name}: {error}", errors=(FieldError(name, InvalidParameterError.code, str(error)),)
        ) from error


@dataclass(frozen=True, slots=True)
class _Asking:
    question: Question[Any]
    position: int
    turn: Turn[ImageInput]


@dataclass(slots=True)
class _Run:
    """What is learnt on the way to one answer."""

    request: TaskRequest
    generations: GenerationService
    turn: asyncio.Semaphore
    notify: Notify
    asked: list[Generation] = field(default_factory=list)
    images: dict[int, ImageReport] = field(default_factory=dict)
    """By position, each once however often it was shown."""
    repairs: int = 0
    warnings: dict[str, Caveat] = field(default_factory=dict)
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
                self.notify(Progress(done, len(questions), finding.page, finding.fault))
            return finding

        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(i, question)) for i, question in enumerate(questions)]
        findings = [task.result() for task in asking]
        if self.failures and len(self.failures) == len(findings):
            raise self.failures[0]
        follow_up = self.request.task.follow_up
        last = follow_up(self.request.parameters, findings) if follow_up else None
        return findings if last is None else [*findings, await self._ask(last, len(findings), ())]

    async def _ask(
        self, question: Question[Any], position: int, shots: Sequence[Shot]
    ) -> Finding[Any]:
        page = shots[0].page if shots else 1
        try:
            turn = Turn(Role.USER, question.text, await self._load(shots))
            asking = _Asking(question, position, turn)
            generation = await self._generate(turn, key=f"{position}")
        except ServiceError as error:
            self.failures.append(error)
            return Finding(None, f"{error.code}: {error.detail}", page=page)
        self.images.update(zip(question.images, generation.images, strict=True))
        answer, fault = await self._read(asking, generation)
        return Finding(answer, fault, _view(shots, generation.images), page)

    async def _load(self, shots: Sequence[Shot]) -> tuple[ImageInput, ...]:
        async with self.generations.drain.before(self.request.terms.deadline):
            return tuple([await shot.load() for shot in shots])

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
            again = await self._generate(asking.turn, said, asked, key=f"{asking.position} again")
            return await asyncio.to_thread(read, again.completion.text, form), None
        except AnswerError as still:
            return None, f"{still} (also after a repair)"
        except ServiceError as failure:
            # The first answer was paid for: it must not be lost for the second one's failure.
            return None, f"{error} (the repair failed: {failure.code})"

    async def _generate(self, *turns: Turn[ImageInput], key: str) -> Generation:
        generation = await self.generations.generate(
            GenerationRequest(
                turns=turns,
                system=prompt(SYSTEM).text,
                sampling=self.request.sampling,
                strategy=_strategy(turns[0]),
                language=self.request.language,
                terms=self._terms(key),
            )
        )
        self.asked.append(generation)
        for caveat in generation.warnings:
            self._warn(caveat.code, caveat.message)
        return generation

    def _terms(self, call: str) -> Terms:
        """Return the caller's terms; each call under an idempotency key of its own."""
        key = self.request.terms.idempotency_key
        own = None if key is None else f"{key} {self.request.task.name} {call}"
        return replace(self.request.terms, idempotency_key=own)

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
        )

    def _together(self) -> Generation:
        completions = [generation.completion for generation in self.asked]
        cut = next(
            (c for c in completions if c.stop_reason is not StopReason.STOP), completions[-1]
        )
        elapsed = asyncio.get_running_loop().time() - self.started
        return Generation(
            id=f"task_{uuid.uuid4().hex}",
            model=self.asked[0].model,
            completion=Completion(
                text="\n\n".join(completion.text for completion in completions),
                usage=summed([completion.usage for completion in completions]),
                stop_reason=cut.stop_reason,
                stop_reason_raw=cut.stop_reason_raw,
            ),
            images=tuple(self.images[position] for position in sorted(self.images)),
            warnings=tuple(self.warnings.values()),
            latency=Latency(
                total=round(elapsed * 1000), model=sum(g.latency.model for g in self.asked)
            ),
        )


def _view(shots: Sequence[Shot], reports: Sequence[ImageReport]) -> View | None:
    """Return what was shown; None where that was nothing or a sheet of several."""
    if len(shots) != 1 or len(reports) != 1:
        return None
    return shots[0].view or View.whole(reports[0])


def _strategy(turn: Turn[ImageInput]) -> ImageStrategy:
    return ImageStrategy.CONTACT_SHEET if len(turn.images) > 1 else ImageStrategy.SINGLE


def summed(usages: Sequence[Usage]) -> Usage:
    """Return the tokens and the cost of all calls; None where one of them is not known."""

    def total(counts: Sequence[int | None]) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    return Usage(
        total([usage.prompt_token_count for usage in usages]),
        total([usage.generation_token_count for usage in usages]),
        added([usage.cost for usage in usages]),
    )
