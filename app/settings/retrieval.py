"""Knowledge bases, and how much of their documents' text goes into a prompt."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain import access, metadata_filter
from app.domain.metadata_filter import MetadataFilter
from app.domain.retrieval import KnowledgeBase, KnowledgeBaseKind
from app.settings.types import Endpoint, Region, Seconds

_NAME = r"^[A-Za-z0-9._-]{1,64}$"
_ARN = r"arn:aws[a-z-]*:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:knowledge-base/"
# The emulator accepts the name of a fault after an id: ABCDEFGHIJ.throttle.
_ID = rf"^({_ARN})?[0-9a-zA-Z]{{10}}(\.[a-z0-9.-]+)?$"


class KnowledgeBaseSetting(BaseModel):
    """One knowledge base of Amazon Bedrock."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    id: Annotated[str, Field(pattern=_ID)]
    region: Region | None = None
    description: Annotated[str, Field(max_length=500)] = ""
    kind: KnowledgeBaseKind = KnowledgeBaseKind.VECTOR
    image_queries: bool = False
    reranker: Annotated[str | None, Field(pattern=r"^arn:aws[a-z-]*:bedrock:")] = None
    scopes: tuple[str, ...] = ()
    filter: dict[str, Any] | None = None
    requires_filter: bool = False
    usd_per_query: Annotated[float | None, Field(ge=0)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.scopes:
            access.scope(name)
        _ = self.own_filter
        return self

    @property
    def own_filter(self) -> MetadataFilter | None:
        """The parsed filter; None if there is none. Raises ValueError if it is invalid."""
        return None if self.filter is None else metadata_filter.parse(self.filter)


class RetrievalSettings(BaseModel):
    """Knowledge bases, and how much of their documents' text goes into a prompt."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    knowledge_bases: Annotated[
        dict[Annotated[str, Field(pattern=_NAME)], KnowledgeBaseSetting],
        Field(
            description='Knowledge bases by the names that callers use, as JSON: `{"handbook": '
            '{"id": "ABCDEFGHIJ"}}`. Each may have `region`, `description`, `kind` (`vector`, '
            "`managed`), `image_queries`, `reranker` (an ARN), `scopes`, `filter`, "
            "`requires_filter`, `usd_per_query`; see docs/rag.md."
        ),
    ] = {}
    retrieval_endpoint_url: Annotated[
        Endpoint | None,
        Field(
            description="Address called for knowledge bases instead of AWS's own: the emulator, "
            "or a VPC endpoint of `bedrock-agent-runtime`."
        ),
    ] = None
    retrieval_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds without a byte from a knowledge base after which a "
            "call is given up."
        ),
    ] = 20
    retrieval_tokens: Annotated[
        int,
        Field(
            ge=200,
            le=100_000,
            description="Maximum tokens of documents' texts in one prompt. If the vocabulary is "
            "not installed, bytes are counted instead: a token has at least one.",
        ),
    ] = 16_000

    def knowledge_bases_in(self, region: str) -> dict[str, KnowledgeBase]:
        """Return the knowledge bases by name; ``region`` is that of those that name none."""
        return {
            name: KnowledgeBase(
                name=name,
                id=base.id,
                region=base.region or _region(base.id) or region,
                description=base.description,
                kind=base.kind,
                image_queries=base.image_queries,
                reranker=base.reranker,
                scopes=frozenset(base.scopes),
                filter=base.own_filter,
                requires_filter=base.requires_filter,
                usd_per_query=base.usd_per_query,
            )
            for name, base in self.knowledge_bases.items()
        }


def _region(identifier: str) -> str | None:
    return identifier.split(":")[3] if identifier.startswith("arn:") else None
