"""Records the calls of a model and a preparer; prices answers and names their target."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from opentelemetry.trace import Span

from app.domain.cost import Pricing
from app.domain.errors import ServiceError
from app.domain.generation import (
    Completion,
    Delta,
    Finish,
    ModelRequest,
    StopReason,
    StreamPart,
    StreamParts,
    Target,
)
from app.domain.image import ImageReport, ReceivedImage
from app.domain.ports import ImagePreparer, VisionModel
from app.domain.usage import Usage
from app.services.model_stack import billing
from app.telemetry import current, stage


@dataclass(frozen=True, slots=True)
class MeteringModel:
    """Counts each call, its tokens and its cost. Stands next to the adapter, below retries."""

    inner: VisionModel
    target: Target
    price: Pricing | None

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does, with the cost and the target."""
        began = self._begin()
        with stage("model") as span, billing.BillWatch(request.bill):
            self._describe(span, request)
            completion = await self.inner.generate(request)
            usage = self._priced(completion.usage, began)
            _note(span, usage, completion.stop_reason)
        return Completion(
            completion.text,
            usage,
            completion.stop_reason,
            completion.stop_reason_raw,
            completion.latency_ms,
            self.target,
            completion.stop_sequence,
            completion.logprobs,
            completion.guardrail,
        )

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Answer as ``inner`` does, with the cost and the target in the last part."""
        began = self._begin()
        with stage("model") as span, billing.BillWatch(request.bill):
            self._describe(span, request)
            async with self.inner.stream(request) as parts:
                current().stream = "abandoned"
                seen = _Seen(began)
                try:
                    yield self._parts(parts, span, seen, every=bool(request.stop))
                finally:
                    # Here and not in the generator, which a client that leaves early never closes.
                    if not seen.finished:
                        _note(span, seen.usage)

    async def _parts(
        self, parts: AsyncIterator[StreamParts], span: Span, seen: "_Seen", *, every: bool
    ) -> AsyncIterator[StreamParts]:
        record = current()
        try:
            async for *before, last in parts:
                last = self._with_cost(last, seen)
                seen.usage = last.usage
                if record.first_token_ms is None:
                    record.first_token_ms = record.elapsed_ms()
                if isinstance(last, Finish):
                    record.stream, seen.finished = "completed", True
                    _note(span, seen.usage, last.stop_reason)
                # A stop text may end the answer at any part; else only the last one is recorded.
                earlier = [self._with_cost(part, seen) for part in before] if every else before
                yield (*earlier, last)
        except ServiceError:
            record.stream = "failed"
            raise

    def _describe(self, span: Span, request: ModelRequest) -> None:
        if not span.is_recording():
            return
        sampling = request.sampling
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "aws.bedrock",
                "gen_ai.request.model": self.target.model_id,
                "gen_ai.request.max_tokens": sampling.max_gen_len,
                "gen_ai.request.temperature": sampling.temperature,
                "gen_ai.request.top_p": sampling.top_p,
                "cloud.region": self.target.region,
            }
        )

    def _begin(self) -> float:
        record = current()
        record.attempts += 1
        record.model, record.target = self.target.model_id, self.target.region
        return time.perf_counter()

    def _with_cost(self, part: StreamPart, seen: "_Seen") -> StreamPart:
        usage = self._priced(part.usage, seen.began)
        if isinstance(part, Finish):
            return replace(part, usage=usage, target=self.target)
        return Delta(part.text, usage, part.logprobs)

    def _priced(self, usage: Usage, began: float) -> Usage:
        price, prompt, generation = (
            self.price,
            usage.prompt_token_count,
            usage.generation_token_count,
        )
        cost = None if price is None else price.answered(prompt, generation, began)
        return Usage(prompt, generation, cost)


@dataclass(slots=True)
class _Seen:
    """How far a stream came."""

    began: float
    """Seconds, by `time.perf_counter`."""
    usage: Usage = field(default_factory=Usage)
    finished: bool = False


def _note(span: Span, usage: Usage, stop_reason: StopReason | None = None) -> None:
    record = current()
    record.prompt_tokens += usage.prompt_token_count or 0
    record.generation_tokens += usage.generation_token_count or 0
    if stop_reason is not None:
        record.stop_reason = stop_reason.value
    if usage.cost is not None:
        record.cost_usd = (record.cost_usd or 0) + usage.cost.total
    if span.is_recording():
        span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_token_count or 0)
        span.set_attribute("gen_ai.usage.output_tokens", usage.generation_token_count or 0)
        if stop_reason is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [stop_reason.value])


@dataclass(frozen=True, slots=True)
class MeteringPreparer:
    """Counts pictures, their bytes and their tiles."""

    inner: ImagePreparer

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Prepare as ``inner`` does."""
        record = current()
        record.images += 1
        record.image_bytes_in += len(image.data)
        with stage("prepare"):
            report = await self.inner.prepare(image)
        record.image_bytes_out += len(report.prepared.data)
        record.tiles += report.canvas.tiles
        return report
