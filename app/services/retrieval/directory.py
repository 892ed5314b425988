"""The configured knowledge bases, and callers' access to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.access import Caller, Scope
from app.domain.errors import InvalidParameterError, ScopeMissingError, UnknownKnowledgeBaseError
from app.domain.metadata_filter import MetadataFilter, all_of
from app.domain.retrieval import KnowledgeBase, KnowledgeBaseKind
from app.services.retrieval.request import RagRequest


@dataclass(frozen=True, slots=True)
class KnowledgeBases:
    """Knowledge bases by their names."""

    by_name: Mapping[str, KnowledgeBase] = field(default_factory=dict)

    def open_to(self, caller: Caller) -> tuple[KnowledgeBase, ...]:
        """Return those that ``caller`` may query, by name."""
        return tuple(base for _, base in sorted(self.by_name.items()) if base.open_to(caller))

    def named(self, request: RagRequest) -> KnowledgeBase:
        """Return the one that ``request`` names, or raise a RequestError.

        One that is closed to the caller is reported as one that does not exist.
        """
        caller = request.call_context.call.caller
        if Scope.RAG not in caller.scopes:
            raise ScopeMissingError(f"this needs the scope {Scope.RAG}; {caller.id} lacks it")
        base = self.by_name.get(request.knowledge_base)
        if base is None or not base.open_to(caller):
            known = ", ".join(each.name for each in self.open_to(caller)) or "none"
            raise UnknownKnowledgeBaseError.at(
                "knowledge_base", f"is not served here; you may query: {known}"
            )
        _check(request, base)
        return base


def _check(request: RagRequest, base: KnowledgeBase) -> None:
    if request.search is not None and base.kind is KnowledgeBaseKind.MANAGED:
        raise InvalidParameterError.at("search", "can't be chosen in a managed knowledge base")
    if request.rerank and base.reranker is None and base.kind is KnowledgeBaseKind.VECTOR:
        raise InvalidParameterError.at(
            "rerank", "no reranking model is configured for this knowledge base"
        )


def effective_filter(request: RagRequest, base: KnowledgeBase) -> MetadataFilter | None:
    """Return the filter of every chunk: the server's filters AND the caller's own.

    No request can remove a part of it.
    """
    return all_of(request.call_context.call.caller.filter, base.filter, request.filter)
