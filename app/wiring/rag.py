"""Builds the service that answers from documents."""

from app.domain.ports import TokenCounter
from app.services.answers.repair import FormAsker
from app.services.generation.service import GenerationService
from app.services.guardrails.document_texts import DocumentTexts
from app.services.model_stack.retry import Retries
from app.services.retrieval.context import ContextCutter
from app.services.retrieval.directory import KnowledgeBases
from app.services.retrieval.pictures import ChunkPictures
from app.services.retrieval.preparation import PromptMaker
from app.services.retrieval.search import ChunkSearch
from app.services.retrieval.service import RagService
from app.services.retrieval.stack import RULES, retriever_stack
from app.settings import Settings
from app.wiring.resources import Resources
from app.wiring.retrieval import configured


def rag_service(
    settings: Settings,
    resources: Resources,
    generations: GenerationService,
    asker: FormAsker,
    texts: DocumentTexts,
    counter: TokenCounter,
    retries: Retries,
) -> RagService:
    """Return the service; it retrieves with ``resources`` and answers with ``generations``."""
    # Knowledge bases have retry rules of their own, with the same waits.
    own = Retries(RULES if retries.rules else {}, retries.backoff)
    retriever = retriever_stack(resources.retriever, resources.guards.knowledge_bases, own)
    pictures = ChunkPictures(
        generations.sources,
        generations.preparer,
        generations.sheets,
        resources.pool,
        settings.capabilities.max_images,
    )
    prompts = PromptMaker(
        pictures,
        ContextCutter(counter),
        settings.retrieval_tokens,
        settings.capabilities.context_window,
    )
    return RagService(
        KnowledgeBases(configured(settings)),
        ChunkSearch(retriever, generations),
        prompts,
        generations,
        asker,
        texts,
    )
