"""POST /v1/rag/query and GET /v1/rag/knowledge-bases."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS, RETRIEVAL_ERRORS
from app.api.openapi.examples import RAG
from app.api.routing.context import Context
from app.api.routing.decode import OrForm
from app.api.routing.headers import CallHeaders
from app.api.v1.rag.answers import KnowledgeBaseList, KnowledgeBaseOut, RagOut
from app.api.v1.rag.schemas import RagForm, RagIn
from app.api.v1.rag.streaming import STREAM_RESPONSE, respond
from app.domain import errors
from app.domain.access import Caller
from app.domain.retrieval import KnowledgeBase, KnowledgeBaseKind

router = APIRouter(prefix="/v1/rag", tags=["rag"])

Question = Annotated[RagIn, OrForm(RagForm), Body(openapi_examples=RAG)]


@router.post(
    "/query",
    operation_id="ragQuery",
    summary="Answer a question from documents",
    description="Retrieves chunks from a knowledge base of Amazon Bedrock, shows them to the "
    "model (pictures as pictures), and returns its answer with checked citations. If the "
    "documents do not answer the question, the result says so (`answered: false`); it is not "
    "an error.",
    response_description="The answer.",
    response_model=RagOut,
    responses=STREAM_RESPONSE
    | problem.responses(
        errors.MalformedBodyError, *JSON_IMAGE_ERRORS, *GENERATION_ERRORS, *RETRIEVAL_ERRORS
    ),
)
async def query(context: Context, headers: CallHeaders, body: Question) -> Response:
    request = body.to_request(context.call_context(headers))
    return await respond(context, request, stream=body.stream)


@router.get(
    "/knowledge-bases",
    operation_id="listKnowledgeBases",
    summary="List the knowledge bases that you may use",
    description="Lists the knowledge bases that the caller may use, by the names for requests.",
    response_description="The knowledge bases.",
    responses=problem.responses(errors.InternalError),
)
async def knowledge_bases(context: Context) -> KnowledgeBaseList:
    caller = context.call.caller
    bases = context.services.rag.knowledge_bases.open_to(caller)
    return KnowledgeBaseList(knowledge_bases=[_shown(base, caller) for base in bases])


def _shown(base: KnowledgeBase, caller: Caller) -> KnowledgeBaseOut:
    managed = base.kind is KnowledgeBaseKind.MANAGED
    return KnowledgeBaseOut(
        name=base.name,
        description=base.description,
        kind=base.kind,
        image_queries=base.image_queries,
        rerank=managed or base.reranker is not None,
        filtered=base.filter is not None or caller.filter is not None,
    )
