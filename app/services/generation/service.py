"""The spine: validates a request, prepares its images and calls the model once."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from os import urandom

import structlog

from app.domain.errors import InternalError, ServiceError
from app.domain.generation import (
    CallContext,
    Completion,
    Delta,
    Done,
    Failed,
    Finish,
    Generation,
    GenerationEvents,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Latency,
    ModelRequest,
    Started,
    StopReason,
    StreamPart,
    StreamParts,
    Turn,
)
from app.domain.image import AnswerWarning, ImageReport, PreparedImage
from app.domain.model import Capabilities, ModelIdentity
from app.domain.ports import ImagePreparer, VisionModel
from app.domain.usage import UNKNOWN, Usage
from app.services.answers.text.repetition import loop
from app.services.concurrency.deadline import Drain
from app.services.concurrency.fair_threads import FairThreads
from app.services.concurrency.idempotency import IdempotentAnswers, fingerprint, slim
from app.services.generation.image_sources import ImageSources
from app.services.generation.multiple_images import (
    SheetMaker,
    ask_each,
    asks_each,
    laid_out,
    sheet_warnings,
)
from app.services.generation.prompt import in_language, warnings, with_prompt
from app.services.generation.validation import checked
from app.services.guardrails.refusal import blocked, unchecked
from app.telemetry import current

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GenerationService:
    """Answers prompts about images."""

    identity: ModelIdentity
    capabilities: Capabilities
    """The capabilities that all targets share."""
    model: VisionModel
    sources: ImageSources
    preparer: ImagePreparer
    drain: Drain
    answers: IdempotentAnswers
    sheets: SheetMaker
    threads: FairThreads
    """Threads that hash images for fingerprints."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer ``request``, or raise one of `app.domain.errors`."""
        if request.call_context.idempotency_key is None:
            return await self._answer(request)

        async def make(call_context: CallContext) -> Generation:
            return slim(await self._answer(replace(request, call_context=call_context)))

        # Hashing the bounded texts takes less time than a thread costs; images may take longer.
        pictures = any(turn.images for turn in request.turns)
        digest = await self.threads.run(fingerprint, request) if pictures else fingerprint(request)
        return await self.answers.share(request.call_context, digest, make)

    async def _answer(self, request: GenerationRequest) -> Generation:
        # The whole request is validated before any decoding and before the first call is paid for.
        request = checked(request, self.capabilities)
        if asks_each(request):
            return await ask_each(request, self._generate)
        return await self._generate(request)

    async def _generate(self, request: GenerationRequest) -> Generation:
        call = _Call(self.identity.id)
        async with self.drain.before(request.call_context.deadline):
            prepared = await self._prepare(request, call)
            call.asked_at = _now()
            completion = await self.model.generate(prepared)
        if completion.guardrail is not None and completion.blocked and not request.shows_blocked:
            raise blocked(completion)
        return call.generation(completion)

    @asynccontextmanager
    async def stream(
        self, request: GenerationRequest
    ) -> AsyncIterator[AsyncIterator[GenerationEvents]]:
        """Answer ``request`` piece by piece.

        Entering raises any refusal of the request, here or upstream, up to the model's first
        event. Iterating yields `Started` alone, then `Delta`s, and at the end exactly one `Done`
        or `Failed`. Events that are ready together come in one tuple. Iterating raises nothing,
        and leaving the block closes the upstream.
        """
        if request.call_context.idempotency_key is not None or asks_each(request):
            # An answer shared by its key is sent whole, since a second caller could not get the
            # first one's pieces; and several concurrent answers do not form one stream.
            yield _whole(await self.generate(request))
            return
        # Validated before any decoding, since a refusal must cost nothing.
        request = checked(request, self.capabilities)
        call = _Call(self.identity.id)
        async with self.drain.before(request.call_context.deadline):
            prepared = await self._prepare(request, call)
            call.asked_at = _now()
            stream = self.model.stream(prepared)
            parts = await stream.__aenter__()
        try:
            yield self._events(parts, call, request)
        finally:
            if not call.ended:
                log.info("stream abandoned", generation_id=call.id, **call.so_far())
            await stream.__aexit__(None, None, None)

    async def _events(
        self, parts: AsyncIterator[StreamParts], call: "_Call", request: GenerationRequest
    ) -> AsyncIterator[GenerationEvents]:
        yield (call.begun(),)
        try:
            while not call.ended:
                async with self.drain.before(request.call_context.deadline):
                    arrived = await anext(parts)
                events = call.events(arrived)
                yield events if request.shows_blocked else _refused(events, call)
        except ServiceError as error:
            yield (_failed(call, error),)
        except Exception:
            # A stream has to end with a terminal event, whatever happens.
            log.exception("stream failed", generation_id=call.id)
            yield (_failed(call, InternalError("A fault of this service ended the stream.")),)

    async def prepared(self, request: GenerationRequest) -> ModelRequest:
        """Return the model request, or raise the error that refuses an image."""
        return await self._prepare(request, _Call(self.identity.id))

    async def _prepare(self, request: GenerationRequest, call: "_Call") -> ModelRequest:
        call.warnings = (*request.warnings, *warnings(request, self.identity))
        on_sheet = request.strategy is ImageStrategy.CONTACT_SHEET
        turns = tuple([await self._prepare_turn(turn, call, on_sheet) for turn in request.turns])
        turns = with_prompt(turns)
        if request.language is not None and not request.language_asked:
            turns = in_language(turns, request.language)
        return ModelRequest(
            turns=turns,
            system=request.system,
            sampling=request.sampling,
            raw_prompt=request.raw_prompt,
            call_context=request.call_context,
            stop=request.stop,
            form=request.form,
            begun=request.begun if self.capabilities.begun else "",
            logprobs=request.logprobs if self.capabilities.logprobs else None,
        )

    async def _prepare_turn(
        self, turn: Turn[ImageInput], call: "_Call", on_sheet: bool
    ) -> Turn[PreparedImage]:
        if not turn.images:
            return Turn(turn.role, turn.text)
        reports = [await self._prepare_image(image) for image in turn.images]
        call.images += reports
        pictures = tuple([report.prepared for report in reports])
        if len(pictures) < 2 or not on_sheet:
            return Turn(turn.role, turn.text, pictures)
        sheet = await self.sheets.contact_sheet(pictures)
        call.warnings += sheet_warnings(sheet, len(pictures))
        return laid_out(turn.text, sheet, len(pictures))

    async def _prepare_image(self, image: ImageInput) -> ImageReport:
        async with self.sources.fetched(image) as received:
            return await self.preparer.prepare(received)


_now = time.perf_counter


@dataclass(slots=True)
class _Call:
    """The state of one answer in progress."""

    model: str
    id: str = field(default_factory=lambda: f"gen_{urandom(16).hex()}")
    started: float = field(default_factory=_now)
    asked_at: float = 0
    images: list[ImageReport] = field(default_factory=list)
    warnings: tuple[AnswerWarning, ...] = ()
    texts: list[str] = field(default_factory=list)
    usage: Usage = UNKNOWN
    first_token_ms: int | None = None
    ended: bool = False

    def begun(self) -> Started:
        return Started(self.id, self.model, tuple(self.images), self.warnings)

    def events(self, parts: StreamParts) -> GenerationEvents:
        """Return the events of ``parts``, ending with the terminal event if there is one."""
        events: list[Delta | Done] = []
        for part in parts:
            events.append(self._event(part))
            if self.ended:
                break
        return tuple(events)

    def _event(self, part: StreamPart) -> Delta | Done:
        if isinstance(part, Finish):
            return self._done(part)
        if self.first_token_ms is None:
            self.first_token_ms = _milliseconds(_now() - self.started)
        self.texts.append(part.text)
        self.usage = part.usage
        return part

    def failed(self, error: ServiceError) -> Failed:
        self.ended = True
        return Failed(error, "".join(self.texts), error.usage or self.usage)

    def so_far(self) -> dict[str, int | None]:
        """Return the counts of an abandoned stream, without its text."""
        return {
            "characters": sum(map(len, self.texts)),
            "prompt_token_count": self.usage.prompt_token_count,
            "generation_token_count": self.usage.generation_token_count,
        }

    def _done(self, finish: Finish) -> Done:
        self.ended = True
        completion = Completion(
            "".join(self.texts),
            finish.usage,
            finish.stop_reason,
            finish.stop_reason_raw,
            finish.latency_ms,
            finish.target,
            finish.stop_sequence,
            warnings=finish.warnings,
            guardrail=finish.guardrail,
            replay=finish.replay,
        )
        return Done(self.generation(completion))

    def generation(self, completion: Completion) -> Generation:
        answered = _now()
        model = completion.latency_ms
        return Generation(
            id=self.id,
            model=completion.target.model_id if completion.target else self.model,
            completion=completion,
            images=tuple(self.images),
            warnings=(
                *self.warnings,
                *completion.warnings,
                *_repetition(completion),
                *unchecked(completion.guardrail),
            ),
            latency=Latency(
                total=_milliseconds(answered - self.started),
                model=_milliseconds(answered - self.asked_at) if model is None else model,
                first_token=self.first_token_ms,
            ),
        )


def _failed(call: _Call, error: ServiceError) -> Failed:
    # Recorded here because the HTTP status was already 200; deadlines and shutdowns end here too.
    record = current()
    record.stream, record.code = "failed", error.code
    return call.failed(error)


def _repetition(completion: Completion) -> tuple[AnswerWarning, ...]:
    """Return a warning if an answer that was cut off repeats itself."""
    if completion.stop_reason not in (StopReason.LENGTH, StopReason.REPETITION):
        return ()
    run = loop(completion.text)
    return () if run is None else (AnswerWarning("repetition", run.message),)


def _refused(events: GenerationEvents, call: _Call) -> GenerationEvents:
    """Return ``events`` with a blocked answer replaced by `Failed`."""
    *before, last = events
    if not isinstance(last, Done) or not last.generation.completion.blocked:
        return events
    return (*before, _failed(call, blocked(last.generation.completion)))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


async def _whole(generation: Generation) -> AsyncIterator[GenerationEvents]:
    """Yield the events of an answer that is already complete."""
    yield (Started(generation.id, generation.model, generation.images, generation.warnings),)
    completion = generation.completion
    yield (
        Delta(completion.text, completion.usage, completion.logprobs or ()),
        Done(generation),
    )
