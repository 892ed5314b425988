"""Answers questions from documents, in one piece."""

import asyncio
import time
from dataclasses import dataclass, replace

from app.domain.errors import GuardrailBlockedError, GuardrailUnavailableError
from app.domain.generation import CallContext, Generation, StopReason
from app.domain.guardrail import GuardrailReport
from app.domain.retrieval import Chunk
from app.services.answers.form import Model
from app.services.answers.repair import FormAsker
from app.services.generation.service import GenerationService
from app.services.guardrails.document_texts import DocumentTexts
from app.services.guardrails.refusal import unchecked
from app.services.guardrails.screening import priced
from app.services.retrieval import checking
from app.services.retrieval.directory import KnowledgeBases
from app.services.retrieval.form import SourcedAnswer
from app.services.retrieval.preparation import PreparedPrompt, PromptMaker
from app.services.retrieval.release import released
from app.services.retrieval.request import (
    CheckedAnswer,
    Mode,
    ModelCall,
    RagAnswer,
    RagRequest,
    Source,
    Unanswered,
)
from app.services.retrieval.search import ChunkSearch, Findings
from app.services.retrieval.work import Work, count, fingerprint, slimmed, together


@dataclass(frozen=True, slots=True)
class RagService:
    """Answers questions from knowledge bases."""

    knowledge_bases: KnowledgeBases
    search: ChunkSearch
    prompts: PromptMaker
    generations: GenerationService
    asker: FormAsker
    texts: DocumentTexts

    async def answer(self, request: RagRequest) -> RagAnswer:
        """Return the answer, or raise one of `app.domain.errors`.

        An answer may say that the documents do not answer.
        """
        # Before anything is paid for, and before an answer is shared.
        self.knowledge_bases.named(request)
        if request.call_context.idempotency_key is None:
            return await self._made(request)

        async def make(call_context: CallContext) -> RagAnswer:
            return slimmed(await self._made(replace(request, call_context=call_context)))

        digest = await asyncio.to_thread(fingerprint, request)
        return await self.generations.answers.share(request.call_context, digest, make)

    async def _made(self, request: RagRequest) -> RagAnswer:
        work = await self.begin(request)
        if work.refusal is not None:
            raise work.refusal
        prepared = work.prepared
        if prepared.request is None:
            return await self.finish(work)
        if self.generations.capabilities.structured_output:
            await self._state(work)
        else:
            await self.check(work, await self.generations.generate(prepared.request))
        return await self.finish(work)

    async def begin(self, request: RagRequest) -> Work:
        """Retrieve chunks and make the prompt, or raise one of `app.domain.errors`.

        Blocked chunks are not an error yet; they become the work's refusal.
        """
        began = time.perf_counter()
        base = self.knowledge_bases.named(request)
        async with self.generations.drain.before(request.call_context.deadline):
            findings = await self.search.findings(request, base)
            try:
                chunks, report = await self._released(findings, request)
            except GuardrailBlockedError as error:
                bare = replace(findings, chunks=())
                return Work(request, bare, PreparedPrompt((), ()), began, refusal=error)
            findings = replace(findings, chunks=chunks)
            prepared = await self.prompts.prepared(request, findings)
        work = Work(request, findings, prepared, began, report=report)
        if findings.description is not None:
            work.calls.append(ModelCall("describe", findings.description))
        if prepared.request is None and request.mode is Mode.ANSWER:
            nothing = not findings.chunks
            reason = Unanswered.NOTHING_RETRIEVED if nothing else Unanswered.NOTHING_USABLE
            work.checked = CheckedAnswer("", reason)
        return work

    async def _released(
        self, findings: Findings, request: RagRequest
    ) -> tuple[tuple[Chunk, ...], GuardrailReport | None]:
        """Return the chunks as they may be returned; a refusal has the cost so far."""
        try:
            return await released(findings.chunks, self.texts, request.call_context)
        except (GuardrailBlockedError, GuardrailUnavailableError) as error:
            if findings.description is not None:
                paid = findings.description.completion.usage
                error.usage = paid if error.report is None else priced(paid, error.report)
            raise

    async def _state(self, work: Work) -> None:
        """Request sentences with their sources, in an enforced form."""
        prepared = work.prepared
        assert prepared.request is not None
        formed = await self.asker.ask(self.prompts.stating(prepared), Model(SourcedAnswer))
        *earlier, last = formed.generations
        work.calls += [ModelCall("answer", each) for each in earlier]
        reading = formed.reading
        if reading is None:
            # It has been paid for: its readable text is better than nothing.
            await self.check(work, last)
            return
        work.calls.append(ModelCall("repair" if formed.repaired else "answer", last))
        work.warnings = reading.warnings
        if reading.answer is None or last.completion.stop_reason is StopReason.GUARDRAIL:
            words = reading.refusal.words if reading.refusal else last.completion.text
            work.checked = CheckedAnswer("", Unanswered.REFUSED, raw=words)
        elif not reading.answer.answered:
            raw = last.completion.text
            work.checked = CheckedAnswer("", Unanswered.NOT_IN_SOURCES, raw=raw)
        else:
            statements = [(s.text, s.sources, s.quote) for s in reading.answer.sentences]
            work.checked = await self.asker.reader.run(
                checking.stated, statements, prepared.sources, last.completion.text
            )

    async def check(self, work: Work, generation: Generation) -> None:
        """Check the model's answer against its sources in a thread."""
        await self.asker.reader.run(work.check, generation)

    async def finish(self, work: Work) -> RagAnswer:
        """Count the answer and return it."""
        count(work)
        return await self.answer_so_far(work)

    async def answer_so_far(self, work: Work) -> RagAnswer:
        """Return the current answer, with thumbnails of cited or requested pictures."""
        prepared, findings, checked = work.prepared, work.findings, work.checked
        cited = {citation.source.n for citation in checked.citations}
        everything = work.request.mode is Mode.RETRIEVE
        sources = [
            await self._illustrated(source) if everything or source.n in cited else source
            for source in prepared.sources
        ]
        by_number = {source.n: source for source in sources}
        citations = tuple(
            replace(citation, source=by_number[citation.source.n]) for citation in checked.citations
        )
        generations = [call.generation for call in work.calls]
        warnings = [*findings.warnings, *prepared.warnings, *work.warnings, *unchecked(work.report)]
        warnings += [warning for each in generations for warning in each.warnings]
        made = together(work, generations) if generations else None
        return RagAnswer(
            id=work.id,
            knowledge_base=work.request.knowledge_base,
            mode=work.request.mode,
            query=findings.query,
            checked=replace(checked, citations=citations),
            used=tuple(sources),
            left_out=prepared.left_out,
            retrieval=findings.facts,
            calls=tuple(work.calls),
            generation=made,
            warnings=tuple(dict.fromkeys(warnings)),
            total_ms=work.elapsed_ms,
            guardrail=made.completion.guardrail if made else work.report,
        )

    async def _illustrated(self, source: Source) -> Source:
        small = await self.prompts.pictures.thumbnail(source.picture)
        return replace(source, thumbnail=small)
