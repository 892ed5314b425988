"""The spine: check, prepare, ask once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from app.domain.errors import InternalError, ServiceError
from app.domain.generation import (
    Completion,
    Delta,
    Done,
    Failed,
    Finish,
    Generation,
    GenerationEvent,
    GenerationRequest,
    ImageInput,
    Latency,
    ModelRequest,
    Started,
    StreamPart,
    Turn,
    Usage,
)
from app.domain.image import Caveat, ImageReport, PreparedImage
from app.domain.model import ModelIdentity
from app.domain.ports import ImagePreparer, VisionModel
from app.services.checking import check
from app.services.deadline import before
from app.services.prompting import caveats, in_language, with_prompt
from app.services.sources import ImageSources

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GenerationService:
    """Answers prompts about pictures."""

    identity: ModelIdentity
    model: VisionModel
    sources: ImageSources
    preparer: ImagePreparer

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer ``request``, or raise one of `app.domain.errors`."""
        call = _Call(self.identity.id)
        async with before(request.deadline):
            prepared = await self._prepare(request, call)
            call.asked = _now()
            completion = await self.model.generate(prepared)
        return call.generation(completion)

    @asynccontextmanager
    async def stream(
        self, request: GenerationRequest
    ) -> AsyncIterator[AsyncIterator[GenerationEvent]]:
        """Answer ``request`` piece by piece.

        Entering raises whatever refuses the request, here or upstream, up to the model's
        first event. Iterating yields `Started`, `Delta`s, and exactly one of `Done` and
        `Failed`, and raises nothing. Leaving closes the upstream.
        """
        call = _Call(self.identity.id)
        async with before(request.deadline):
            prepared = await self._prepare(request, call)
            call.asked = _now()
            stream = self.model.stream(prepared)
            parts = await stream.__aenter__()
        try:
            yield _events(parts, call, request.deadline)
        finally:
            await stream.__aexit__(None, None, None)

    async def _prepare(self, request: GenerationRequest, call: "_Call") -> ModelRequest:
        # Before a byte is decoded: a refusal must cost nothing.
        check(request, self.identity)
        call.caveats = tuple(caveats(request, self.identity))
        turns = [await self._prepare_turn(turn, call) for turn in request.turns]
        return ModelRequest(
            turns=in_language(with_prompt(tuple(turns)), request.language),
            system=request.system,
            sampling=request.sampling,
            raw_prompt=request.raw_prompt,
            deadline=request.deadline,
        )

    async def _prepare_turn(self, turn: Turn[ImageInput], call: "_Call") -> Turn[PreparedImage]:
        reports = [await self._prepare_image(image) for image in turn.images]
        call.images += reports
        return Turn(turn.role, turn.text, tuple(report.prepared for report in reports))

    async def _prepare_image(self, image: ImageInput) -> ImageReport:
        return await self.preparer.prepare(await self.sources.fetch(image))


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Call:
    """What is learnt on the way to one answer."""

    model: str
    id: str = field(default_factory=lambda: f"gen_{uuid.uuid4().hex}")
    started: float = field(default_factory=_now)
    asked: float = 0
    images: list[ImageReport] = field(default_factory=list)
    caveats: tuple[Caveat, ...] = ()
    texts: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    first_token_ms: int | None = None

    def note(self, delta: Delta) -> None:
        """Keep a streamed piece."""
        if self.first_token_ms is None:
            self.first_token_ms = _milliseconds(_now() - self.started)
        self.texts.append(delta.text)
        self.usage = delta.usage

    def begun(self) -> Started:
        return Started(self.id, self.model, tuple(self.images), self.caveats)

    def finished(self, finish: Finish) -> Generation:
        return self.generation(
            Completion(
                "".join(self.texts),
                finish.usage,
                finish.stop_reason,
                finish.stop_reason_raw,
                finish.latency_ms,
            )
        )

    def generation(self, completion: Completion) -> Generation:
        answered = _now()
        model = completion.latency_ms
        return Generation(
            id=self.id,
            model=self.model,
            completion=completion,
            images=tuple(self.images),
            warnings=self.caveats,
            latency=Latency(
                total=_milliseconds(answered - self.started),
                model=_milliseconds(answered - self.asked) if model is None else model,
                first_token=self.first_token_ms,
            ),
        )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


async def _events(
    parts: AsyncIterator[StreamPart], call: _Call, deadline: float
) -> AsyncIterator[GenerationEvent]:
    yield call.begun()
    try:
        while True:
            async with before(deadline):
                part = await anext(parts)
            if isinstance(part, Finish):
                yield Done(call.finished(part))
                return
            call.note(part)
            yield part
    except ServiceError as error:
        yield Failed(error, "".join(call.texts), call.usage)
    except Exception:
        log.exception("stream failed")
        fault = InternalError("A fault of this service ended the stream.")
        yield Failed(fault, "".join(call.texts), call.usage)
