"""Makes the prompt from the findings: chooses chunks, prepares pictures, cuts texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.citation import without_markers
from app.domain.generation import (
    GenerationRequest,
    ImageInput,
    Role,
    Turn,
)
from app.domain.image import AnswerWarning
from app.services.retrieval import prompt
from app.services.retrieval.choice import Candidate, choose
from app.services.retrieval.context import ContextCutter
from app.services.retrieval.pictures import ChunkPictures, Gallery
from app.services.retrieval.request import LeftOut, Mode, RagRequest, Reason, Shown, Source
from app.services.retrieval.search import Findings

TOKENS_AN_IMAGE = 6_404
"""Maximum tokens of one picture: four tiles of 1,601."""
AROUND = 40
"""Tokens of the tags and the document's name around each source."""


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A prompt, and the fate of each chunk."""

    sources: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]
    request: GenerationRequest | None = None
    """None if the model is not called."""
    warnings: tuple[AnswerWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptMaker:
    """Makes prompts within a number of tokens."""

    pictures: ChunkPictures
    cutter: ContextCutter
    max_tokens: int
    """Maximum tokens of all sources' texts together."""
    window: int
    """Tokens of the model's context."""

    async def prepared(self, request: RagRequest, findings: Findings) -> PreparedPrompt:
        """Return the prompt for ``request``."""
        choice = choose(findings.chunks)
        if request.mode is Mode.RETRIEVE:
            return await self._retrieved(choice.candidates, choice.left_out)
        pictures = [each for each in choice.candidates if each.is_picture]
        gallery = await self.pictures.gallery(pictures, findings.picture, request.surplus)
        sources, no_room = await self._sources(request, choice.candidates, gallery)
        left_out = (*choice.left_out, *gallery.left_out, *no_room)
        warnings = (*gallery.warnings, *_reported(sources, left_out))
        if not sources:
            return PreparedPrompt((), left_out, warnings=warnings)
        question = prompt.question_text(request.question, gallery.own, bool(gallery.own))
        text = prompt.turn_text(sources, question, prompt.CITE)
        last: Turn[ImageInput] = Turn(Role.USER, text, tuple(gallery.images))
        asked = GenerationRequest(
            turns=(*_history(request), last),
            system=prompt.system(request.system),
            sampling=request.sampling,
            language=request.language,
            call_context=replace(request.call_context, idempotency_key=None),
        )
        return PreparedPrompt(sources, left_out, asked, warnings)

    def stating(self, prepared: PreparedPrompt) -> GenerationRequest:
        """Return the prompt with the question changed to request an answer in a form."""
        assert prepared.request is not None
        *earlier, last = prepared.request.turns
        text = last.text.removesuffix(prompt.CITE) + prompt.STATE
        return replace(prepared.request, turns=(*earlier, replace(last, text=text)))

    async def _retrieved(
        self, candidates: Sequence[Candidate], left_out: tuple[LeftOut, ...]
    ) -> PreparedPrompt:
        """Return all findings uncut, with pictures prepared for their thumbnails."""
        pictures = [each for each in candidates if each.is_picture]
        prepared = await self.pictures.prepared(pictures)
        sources = tuple(
            Source(n, each.chunk, each.chunk.text, Shown.NOT_SHOWN, picture=prepared.get(each.rank))
            for n, each in enumerate(candidates, 1)
        )
        return PreparedPrompt(sources, left_out)

    async def _sources(
        self, request: RagRequest, candidates: Sequence[Candidate], gallery: Gallery
    ) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
        """Return the shown sources, numbered by rank, and the texts that do not fit."""
        pictures = {shown.candidate.rank: shown for shown in gallery.shown}
        captions = {candidate.rank for candidate in gallery.captions}
        texts = [
            each
            for each in candidates
            if each.rank in pictures or each.rank in captions or not each.is_picture
        ]
        room = await self._room(request, len(gallery.images))
        fitted = await self.cutter.fitted([each.chunk.text for each in texts], room, AROUND)
        sources: list[Source] = []
        no_room: list[LeftOut] = []
        for candidate, part in zip(texts, fitted, strict=True):
            picture = pictures.get(candidate.rank)
            if picture is None and not part.text:
                message = "better ones took the room for texts"
                no_room.append(LeftOut(candidate.chunk, Reason.NO_ROOM, message))
                continue
            shown = Shown.CAPTION if candidate.rank in captions else Shown.TEXT
            sources.append(
                Source(
                    n=len(sources) + 1,
                    chunk=candidate.chunk,
                    text=part.text,
                    shown=shown if picture is None else picture.shown,
                    place="" if picture is None else picture.place,
                    tokens=part.tokens,
                    cut=part.cut,
                    picture=None if picture is None else picture.prepared,
                )
            )
        return tuple(sources), tuple(no_room)

    async def _room(self, request: RagRequest, images: int) -> int:
        """Return the maximum tokens of the sources' texts."""
        others = [turn.text for turn in request.history]
        others += [request.question, prompt.system(request.system), prompt.CITE]
        fixed = await self.cutter.tokens("\n".join(others))
        left = self.window - request.sampling.max_gen_len - fixed - images * TOKENS_AN_IMAGE
        return max(0, min(self.max_tokens, left))


def _history(request: RagRequest) -> tuple[Turn[ImageInput], ...]:
    """Return earlier turns without the markers of their answers, which led to other sources."""
    return tuple(
        replace(turn, text=without_markers(turn.text)) if turn.role is Role.ASSISTANT else turn
        for turn in request.history
    )


def _reported(sources: Sequence[Source], left_out: Sequence[LeftOut]) -> tuple[AnswerWarning, ...]:
    cut = [str(source.n) for source in sources if source.cut]
    warnings = []
    if cut:
        message = f"source {', '.join(cut)} was cut to fit into the prompt"
        warnings.append(AnswerWarning("sources_cut", message))
    if left_out:
        reasons = ", ".join(sorted({each.reason.value for each in left_out}))
        message = f"{len(left_out)} of the chunks found were not shown to the model: {reasons}"
        warnings.append(AnswerWarning("chunks_left_out", message))
    return tuple(warnings)
