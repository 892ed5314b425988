"""The wrappers of the adapter of knowledge bases, read from the inside out."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import errors
from app.domain.errors import CircuitOpenError, OverloadedError, UpstreamError
from app.domain.ports import Retriever
from app.domain.retrieval import Chunk, RetrievalQuery
from app.services.model_stack.circuit_breaker import Breaker, BreakerState
from app.services.model_stack.concurrency_limit import FairSlots
from app.services.model_stack.retry import Attempts, Retries, RetryBudget, Rule
from app.telemetry import current, stage
from app.telemetry.metrics import Metrics

# Errors that stand here are retried, no others; a retrieval generates nothing and may be repeated.
RULES: Mapping[type[UpstreamError], Rule] = {
    errors.RetrievalThrottledError: Rule(4),
    errors.KnowledgeBaseBusyError: Rule(4),
    errors.UpstreamUnavailableError: Rule(4),
    errors.UpstreamUnreachableError: Rule(3),
    errors.UpstreamDisconnectedError: Rule(3),
    errors.KnowledgeBaseDependencyError: Rule(2),
    errors.UpstreamTimeoutError: Rule(2),
}
# Errors that say nothing of the knowledge base's health.
_HEALTHY = (errors.RetrievalRefusedError, errors.RetrievalThrottledError, errors.UpstreamQuotaError)


@dataclass(frozen=True, slots=True)
class KnowledgeBaseGuard:
    """One knowledge base's breaker and slots."""

    name: str
    breaker: Breaker
    slots: FairSlots


@dataclass(frozen=True, slots=True)
class MeteringRetriever:
    """Counts each call and its chunks, and traces it as a span. It stands next to the adapter."""

    inner: Retriever

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Answer as ``inner`` does."""
        record = current()
        record.retrievals += 1
        record.knowledge_base = query.knowledge_base.name
        with stage("retrieve") as span:
            chunks = await self.inner.retrieve(query)
            if span.is_recording():
                span.set_attribute("llama_vision.knowledge_base", query.knowledge_base.name)
                span.set_attribute("llama_vision.chunks", len(chunks))
        record.chunks_found += len(chunks)
        return chunks


@dataclass(frozen=True, slots=True)
class GuardedRetriever:
    """Queries when it is the caller's turn, and pauses queries of a failing knowledge base."""

    inner: Retriever
    guards: Mapping[str, KnowledgeBaseGuard]

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Answer as ``inner`` does, or raise CircuitOpenError or OverloadedError at once."""
        guard = self.guards[query.knowledge_base.name]
        try:
            await guard.slots.take(query.call_context.caller)
        except OverloadedError as error:
            message = "Too many requests are waiting for the knowledge base."
            raise OverloadedError(message, retry_after=error.retry_after) from error
        try:
            return await self._asked(query, guard.breaker)
        finally:
            guard.slots.release()

    async def _asked(self, query: RetrievalQuery, breaker: Breaker) -> tuple[Chunk, ...]:
        try:
            deciding = breaker.enter()
        except CircuitOpenError as error:
            message = "The knowledge base failed repeatedly and is not called for a while."
            raise CircuitOpenError(message, retry_after=error.retry_after) from error
        try:
            chunks = await self.inner.retrieve(query)
        except BaseException as error:
            if isinstance(error, _HEALTHY):
                breaker.succeeded()
            elif isinstance(error, UpstreamError):
                breaker.failed(error)
            else:
                breaker.abandoned(deciding=deciding)
            raise
        breaker.succeeded()
        return chunks


@dataclass(frozen=True, slots=True)
class RetryRetriever(Attempts):
    """Repeats failed retrievals if that is worthwhile."""

    inner: Retriever
    budget: RetryBudget
    retries: Retries

    def count_retry(self) -> None:
        """Count a retrieval that repeats a failed one."""
        current().retrieval_retries += 1

    async def retrieve(self, query: RetrievalQuery) -> tuple[Chunk, ...]:
        """Answer as ``inner`` does, or raise the last attempt's error."""
        return await self.attempting(query.call_context, lambda: self.inner.retrieve(query))


def retriever_stack(
    adapter: Retriever, guards: Mapping[str, KnowledgeBaseGuard], retries: Retries
) -> Retriever:
    """Stack the wrappers of every retrieval."""
    guarded = GuardedRetriever(MeteringRetriever(adapter), guards)
    return RetryRetriever(guarded, RetryBudget(), retries)


def show(guards: Mapping[str, KnowledgeBaseGuard], metrics: Metrics) -> None:
    """Set the knowledge bases' gauges."""
    for name, guard in guards.items():
        shut = guard.breaker.state is not BreakerState.CLOSED
        metrics.set("llama_vision_knowledge_base_breaker_open", int(shut), knowledge_base=name)
