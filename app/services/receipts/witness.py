"""Records digests of questions to the model and of its answers on the request's trail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from app.domain.generation import (
    Completion,
    Delta,
    Finish,
    ModelRequest,
    StopReason,
    StreamParts,
    Target,
)
from app.domain.guardrail import GuardrailReport
from app.domain.image import ImageReport, ReceivedImage
from app.domain.output import Choice, JsonSchema, OutputForm
from app.domain.ports import ImagePreparer, VisionModel
from app.domain.residency import HopReport
from app.domain.usage import Usage
from app.telemetry import current
from app.telemetry.trail import Facts

INLINE = 2**20
"""Bytes up to which a picture is hashed on the event loop: half a millisecond."""


@dataclass(frozen=True, slots=True)
class WitnessModel:
    """A target whose answers are recorded."""

    inner: VisionModel
    target: Target
    residency: Callable[[Target], HopReport | None]

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does."""
        completion = await self.inner.generate(request)
        trail = current().trail
        if trail is not None:
            answer = sha256(completion.text.encode("utf-8", "surrogatepass")).hexdigest()
            trail.calls.append(
                self._facts(request, answer, completion.usage, completion.stop_reason)
            )
        return completion

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does."""
        trail = current().trail
        async with self.inner.stream(request) as parts:
            if trail is None:
                yield parts
                return
            seen = _Seen()

            def facts() -> Facts:
                return self._facts(request, seen.digest.hexdigest(), seen.usage, seen.reason)

            trail.running.append(facts)
            try:
                yield _noted(parts, seen, lambda: trail.end(facts))
            finally:
                # Here and not in the generator, which a client that leaves early never closes.
                trail.end(facts)

    def _facts(
        self, request: ModelRequest, answer: str, usage: Usage, reason: StopReason | None
    ) -> Facts:
        where = self.residency(self.target)
        cost = usage.cost
        return {
            "model": self.target.model_id,
            "region": self.target.region,
            "dialect": self.target.dialect.value,
            "regions": None if where is None else list(where.location.regions),
            "residency": None if where is None else where.verdict.value,
            "task": request.call_context.task or None,
            "prompt_sha256": _prompt(request),
            "pictures_sha256": [image.sha256 for turn in request.turns for image in turn.images],
            "schema_sha256": None if request.form is None else _form(request.form),
            "answer_sha256": answer,
            "complete": reason is not None,
            "stop_reason": None if reason is None else reason.value,
            "prompt_tokens": usage.prompt_token_count,
            "generation_tokens": usage.generation_token_count,
            "cost_usd": None if cost is None else f"{cost.total:.10f}",
            "cost_basis": None if cost is None else cost.basis.value,
        }


@dataclass(frozen=True, slots=True)
class VerdictWitness:
    """A model whose guardrail verdicts are recorded with their rules."""

    inner: VisionModel

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does."""
        completion = await self.inner.generate(request)
        note_verdict(completion.guardrail)
        return completion

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does."""
        async with self.inner.stream(request) as parts:
            yield parts if current().trail is None else _judged(parts)


async def _judged(parts: AsyncIterator[StreamParts]) -> AsyncIterator[StreamParts]:
    async for arrived in parts:
        if isinstance(arrived[-1], Finish):
            note_verdict(arrived[-1].guardrail)
        yield arrived


def note_verdict(report: GuardrailReport | None) -> None:
    """Record a guardrail's verdict if the request has a trail."""
    trail = current().trail
    if trail is not None and report is not None:
        trail.verdicts.append(
            {
                "guardrail": report.id,
                "action": report.action.value,
                "policies": list(report.policies),
                "sources": list(report.sources),
                "unchecked": list(report.unchecked),
                "cost_usd": None if report.cost_usd is None else f"{report.cost_usd:.10f}",
            }
        )


@dataclass(slots=True)
class _Seen:
    """The progress of a stream."""

    digest: Any = field(default_factory=sha256)
    usage: Usage = field(default_factory=Usage)
    reason: StopReason | None = None


async def _noted(
    parts: AsyncIterator[StreamParts], seen: _Seen, finish: Callable[[], None]
) -> AsyncIterator[StreamParts]:
    async for arrived in parts:
        for part in arrived:
            seen.usage = part.usage
            if isinstance(part, Delta):
                seen.digest.update(part.text.encode("utf-8", "surrogatepass"))
            elif isinstance(part, Finish):
                seen.reason = part.stop_reason
                finish()
        yield arrived


def _prompt(request: ModelRequest) -> str:
    """Return the digest of all texts as they were sent, each with its speaker and length."""
    texts = [("system", request.system or "")]
    texts += [(turn.role.value, turn.text) for turn in request.turns]
    parts: list[bytes] = []
    for speaker, text in texts:
        data = text.encode("utf-8", "surrogatepass")
        parts += (f"{speaker} {len(data)}\n".encode(), data)
    # At once: each update costs as much as hashing 500 bytes.
    return sha256(b"".join(parts)).hexdigest()


def _form(form: OutputForm) -> str:
    match form:
        case JsonSchema():
            value: object = dict(form.schema)
        case Choice():
            value = list(form.options)
        case _:
            value = "object"
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class WitnessPreparer:
    """A preparer whose pictures are recorded, as received and as prepared."""

    inner: ImagePreparer

    async def prepare(self, image: ReceivedImage) -> ImageReport:
        """Prepare as ``inner`` does."""
        report = await self.inner.prepare(image)
        trail = current().trail
        if trail is not None:
            trail.images.append(await _picture(image, report))
        return report


async def _picture(image: ReceivedImage, report: ImageReport) -> Facts:
    received, prepared = report.received, report.prepared
    if len(image.data) <= INLINE:
        digest = sha256(image.data).hexdigest()
    else:
        digest = (await asyncio.to_thread(sha256, image.data)).hexdigest()
    return {
        "received_sha256": digest,
        "received_bytes": len(image.data),
        "media_type": received.media_type.value,
        "width": received.width,
        "height": received.height,
        "treatment": report.treatment.value,
        "warnings": [warning.code for warning in report.warnings],
        "prepared_sha256": prepared.sha256,
        "prepared_bytes": prepared.size,
        "prepared_media_type": prepared.media_type.value,
        "prepared_width": prepared.width,
        "prepared_height": prepared.height,
    }
