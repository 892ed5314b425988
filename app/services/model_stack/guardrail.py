"""Guardrails around the model: content that the caller's policy blocks does not pass.

Stands above quotas and retries: a question that is blocked costs no tokens, and an answer that is
blocked has been paid for and is settled.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from app.domain.generation import Completion, Delta, Finish, ModelRequest, StopReason, StreamParts
from app.domain.guardrail import GuardrailPolicy, Kind, Mode, StreamMode
from app.domain.ports import VisionModel
from app.domain.usage import Usage
from app.services.guardrails.held_text import HeldText
from app.services.guardrails.policies import GuardrailPolicies
from app.services.guardrails.screen import Screen
from app.services.guardrails.screening import NOT_ASKED, Screening
from app.services.model_stack.stop_sequences import HeldTokens
from app.telemetry import current


@dataclass(frozen=True, slots=True)
class GuardrailModel:
    """Checks questions before they are sent, and answers before they are returned.

    What is blocked becomes an answer without text whose stop reason is `StopReason.GUARDRAIL` and
    whose report says so; what is masked, an answer with the masked text.
    """

    inner: VisionModel
    policies: GuardrailPolicies
    screen: Screen

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer ``request``, or raise GuardrailUnavailableError if it can't be checked."""
        policy = self.policies.policy(request.call_context)
        if policy is None:
            return await self.inner.generate(request)
        async with self._screening(request, policy) as screening:
            asked = await screening.question(request)
            if screening.blocked:
                return await _held_back(screening, NOT_ASKED)
            completion = await self.inner.generate(asked)
            screening.heard(completion.guardrail, completion.stop_reason, completion.usage)
            text = await screening.answer(completion.text, completion.usage)
            report = await screening.concluded()
            usage = screening.priced(completion.usage)
        if screening.blocked:
            text = ""
        return replace(
            completion,
            text=text,
            usage=usage,
            stop_reason=_reason(screening, completion.stop_reason),
            logprobs=None if text != completion.text else completion.logprobs,
            guardrail=report,
        )

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamParts]]:
        """Answer ``request``; its text is released as the policy says."""
        policy = self.policies.policy(request.call_context)
        return self.inner.stream(request) if policy is None else self._checked(request, policy)

    @asynccontextmanager
    async def _checked(
        self, request: ModelRequest, policy: GuardrailPolicy
    ) -> AsyncIterator[AsyncIterator[StreamParts]]:
        async with self._screening(request, policy) as screening:
            asked = await screening.question(request)
            if screening.blocked:
                yield _alone(
                    await _finish(screening, Finish(NOT_ASKED, StopReason.GUARDRAIL, None))
                )
                return
            async with self.inner.stream(asked) as parts:
                yield self._parts(parts, screening)

    def _screening(self, request: ModelRequest, policy: GuardrailPolicy) -> Screening:
        return Screening(self.screen, policy, request.call_context.call)

    def _parts(
        self, parts: AsyncIterator[StreamParts], screening: Screening
    ) -> AsyncIterator[StreamParts]:
        policy = screening.policy
        # Bedrock has checked the text that it sends, but reports only at the end.
        within = policy.kind is Kind.MODEL and policy.stream is not StreamMode.BUFFER
        if policy.output is not Mode.ENFORCE or policy.stream is StreamMode.AUDIT or within:
            return _let_go(parts, screening)
        if policy.stream is StreamMode.WINDOW:
            held = HeldText(self.screen.window, self.screen.overlap)
            return _in_windows(parts, screening, held)
        return _buffered(parts, screening)


async def _held_back(screening: Screening, usage: Usage) -> Completion:
    report = await screening.concluded()
    return Completion("", screening.priced(usage), StopReason.GUARDRAIL, None, guardrail=report)


async def _alone(finish: Finish) -> AsyncIterator[StreamParts]:
    yield (finish,)


async def _let_go(
    parts: AsyncIterator[StreamParts], screening: Screening
) -> AsyncIterator[StreamParts]:
    """Yield ``parts`` as they arrive; the whole text is checked before the end is yielded."""
    texts: list[str] = []
    async for arrived in parts:
        last = arrived[-1]
        texts += [part.text for part in arrived if isinstance(part, Delta)]
        if not isinstance(last, Finish):
            yield arrived
            continue
        if len(arrived) > 1:
            yield arrived[:-1]
        screening.heard(last.guardrail, last.stop_reason, last.usage)
        await screening.answer("".join(texts), last.usage)
        yield (await _finish(screening, last),)


async def _buffered(
    parts: AsyncIterator[StreamParts], screening: Screening
) -> AsyncIterator[StreamParts]:
    """Yield the whole answer after its check."""
    deltas: list[Delta] = []
    async for arrived in parts:
        deltas += [part for part in arrived if isinstance(part, Delta)]
        last = arrived[-1]
        if not isinstance(last, Finish):
            continue
        screening.heard(last.guardrail, last.stop_reason, last.usage)
        text = "".join([delta.text for delta in deltas])
        shown = await screening.answer(text, last.usage)
        finish = await _finish(screening, last)
        if screening.blocked or not deltas:
            yield (finish,)
            return
        scores = tuple(score for delta in deltas for score in delta.logprobs)
        yield (Delta(shown, finish.usage, scores if shown == text else ()), finish)


async def _in_windows(
    parts: AsyncIterator[StreamParts], screening: Screening, held: HeldText
) -> AsyncIterator[StreamParts]:
    """Yield the answer window by window, each after its check; end at a blocked one."""
    tokens, usage, masked = HeldTokens(), Usage(), False
    async for arrived in parts:
        last = arrived[-1]
        usage = last.usage
        scores = tuple(s for part in arrived if isinstance(part, Delta) for s in part.logprobs)
        text = "".join([part.text for part in arrived if isinstance(part, Delta)])
        window = held.feed(text)
        finish = last if isinstance(last, Finish) else None
        if finish is not None:
            screening.heard(finish.guardrail, finish.stop_reason, usage)
            window = held.text
        shown = ""
        if window is not None:
            judged = await screening.answer(window, usage)
            if screening.blocked:
                yield (await _cut_off(screening, finish, usage),)
                return
            shown = held.passed(window, judged) if finish is None else judged
            masked |= judged != window
        # Tokens of a masked text would spell it out.
        released = () if masked else tokens.released(shown, scores, last=finish is not None)
        if shown or released:
            yield (Delta(shown, usage, released),)
        if finish is not None:
            yield (await _finish(screening, finish),)


async def _cut_off(screening: Screening, finish: Finish | None, usage: Usage) -> Finish:
    """Return the end of a stream whose text is blocked, wherever it has got to."""
    # Not abandoned, although it looks so to the inner models: this service ended it.
    current().stream = "completed"
    return await _finish(screening, finish or Finish(usage, StopReason.GUARDRAIL, None))


async def _finish(screening: Screening, finish: Finish) -> Finish:
    report = await screening.concluded()
    return replace(
        finish,
        usage=screening.priced(finish.usage),
        stop_reason=_reason(screening, finish.stop_reason),
        guardrail=report,
    )


def _reason(screening: Screening, reason: StopReason) -> StopReason:
    if screening.blocked:
        return StopReason.GUARDRAIL
    # Bedrock's word for an answer that it masked is the same as for one that it blocked.
    masked = screening.policy.kind is Kind.MODEL and reason is StopReason.GUARDRAIL
    return StopReason.STOP if masked else reason
