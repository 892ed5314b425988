"""Checks of knowledge bases: whether each can be asked with these credentials."""

from collections.abc import AsyncIterator

from app.adapters.aws_session import aws_session
from app.domain.errors import RetrievalAccessDeniedError, ServiceError
from app.domain.finding import Finding, fault, ok, warning
from app.domain.retrieval import KnowledgeBase, RetrievalQuery
from app.settings import PREFIX, Settings
from app.wiring.retrieval import configured, only_api_key, open_retriever

PROBE = "hello"
"""Query that probes each knowledge base with one retrieval and no generation."""


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Yield a finding for each knowledge base, and one about the credentials."""
    bases = configured(settings)
    if not bases:
        return
    if only_api_key():
        mend = "Set keys, a profile or a role as well: knowledge bases are called with those."
        message = "AWS_BEARER_TOKEN_BEDROCK is set; a Bedrock API key can't call knowledge bases"
        yield warning("knowledge bases", message, mend)
    async with open_retriever(aws_session(), settings) as retriever:
        for base in bases.values():
            subject = f"knowledge base {base.name}"
            try:
                chunks = await retriever.retrieve(_probe(base))
            except RetrievalAccessDeniedError as error:
                yield fault(subject, error.detail, "Grant bedrock:Retrieve on it.")
            except ServiceError as error:
                mend = f"See {error.code} in docs/errors.md, and {PREFIX}KNOWLEDGE_BASES."
                yield fault(subject, f"{error.code}: {error.detail}", mend)
            else:
                outcome = "a chunk was found" if chunks else "nothing was found for a probe"
                yield ok(subject, f"{base.id} in {base.region}: {outcome}")


def _probe(base: KnowledgeBase) -> RetrievalQuery:
    return RetrievalQuery(base, PROBE, results=1, filter=base.filter)
