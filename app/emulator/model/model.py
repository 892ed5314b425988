"""Turns a checked ask into an answer: looks at pictures in threads, counts tokens."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar, cast

from app.emulator.config import EmulatorConfig
from app.emulator.model import answers, logprobs
from app.emulator.model.answers import Perception
from app.emulator.model.logprobs import SpokenAnswer
from app.emulator.model.question import Question, parsed
from app.emulator.model.sight import ocr, tiles
from app.emulator.model.sight.pixels import Pixels, measured
from app.emulator.model.sight.text_lines import TextLines
from app.emulator.model.vocabulary import Vocabulary
from app.emulator.wire.bodies.conversation import (
    Answer,
    Ask,
    BodyFormat,
    Picture,
    Sampling,
    TokenScore,
)
from app.emulator.wire.errors import refused_by_model

_REMEMBERED = 256
# Characters or bytes that are handled on the event loop faster than handed to a thread.
_LARGE = 65_536
_T = TypeVar("_T")


@dataclass(slots=True)
class RecentResults:
    """A cache of the latest results by key, so that a picture seen twice is decoded once."""

    size: int = _REMEMBERED
    _entries: OrderedDict[str, object] = field(default_factory=OrderedDict)

    def get(self, key: str) -> object | None:
        """Return the value under ``key``, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, value: object) -> None:
        """Store ``value``, and drop the oldest if there are too many."""
        self._entries[key] = value
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)


class ToyModel:
    """The emulator's model: answers from measured pixels and read words."""

    def __init__(self, config: EmulatorConfig, vocabulary: Vocabulary) -> None:
        self._config = config
        self._vocabulary = vocabulary
        self._memory = RecentResults()
        self._reader = ocr.reader(wanted=config.read_words)
        self._threads = ThreadPoolExecutor(config.workers, thread_name_prefix="emulator")
        # Reading takes so long that it must not keep others from being looked at.
        self._reading_thread = ThreadPoolExecutor(1, thread_name_prefix="emulator-reading")

    @property
    def reads(self) -> bool:
        """Whether it can read words in pictures."""
        return self._reader.able

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._reading_thread.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], _T], *, size: int = _LARGE) -> _T:
        """Run CPU-bound work in one of the bounded threads; at once, if its input is small."""
        if size < _LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def in_reading_thread(self, work: Callable[[], _T]) -> _T:
        """Run work in the one thread in which `read` may be called."""
        return await asyncio.get_running_loop().run_in_executor(self._reading_thread, work)

    def read(self, picture: Picture) -> TextLines:
        """Return the words in a picture; none without an engine."""
        return self._reader.read(picture)

    async def speech(self, ask: Ask) -> SpokenAnswer:
        """Return the whole answer to ``ask``, before it is cut into tokens."""
        if self._config.fixed_answer is not None:
            return SpokenAnswer(self._config.fixed_answer)
        size = len(ask.prompt)
        question = await self.in_thread(partial(parsed, ask), size=size)
        perceived = await self._perceived(ask, question)
        work = partial(answers.answer, ask, question, perceived, self._config.seed)
        return await self.in_thread(work, size=size)

    async def _perceived(self, ask: Ask, question: Question) -> Perception:
        reads = question.needs_reading or ask.constraint is not None
        seen = [await self.look(picture, read=reads) for picture in ask.pictures]
        lines = [line for _, read in seen if read is not None for line in read.lines]
        able = bool(seen) and reads and self._reader.able
        return Perception(
            tuple(pixels for pixels, _ in seen),
            TextLines(tuple(lines)) if able else None,
            tuple(read or TextLines() for _, read in seen) if able else (),
        )

    async def look(self, picture: Picture, *, read: bool) -> tuple[Pixels, TextLines | None]:
        """Return a picture's pixels, and its words if ``read``."""
        measure = partial(measured, picture)
        pixels = await self._once(f"pixels {picture.sha256}", measure, self._threads)
        if not (read and self._reader.able):
            return pixels, None
        work = partial(self._reader.read, picture)
        return pixels, await self._once(f"words {picture.sha256}", work, self._reading_thread)

    async def answer(self, ask: Ask, spoken: SpokenAnswer) -> Answer:
        """Return ``spoken`` as the generation for ``ask``, cut to its limits."""
        pieces, stop = cut(self._vocabulary.pieces(spoken.text), ask.sampling)
        size = len(ask.prompt)
        prompt_tokens = await self.in_thread(partial(self._prompt_tokens, ask), size=size)
        made = Answer(pieces, prompt_tokens, stop)
        if ask.logprobs is None:
            return made
        return await self.in_thread(partial(self._scored, ask, spoken, made), size=size)

    def _prompt_tokens(self, ask: Ask) -> int:
        counted = self._vocabulary.count(ask.prompt)
        if ask.format is not BodyFormat.OPENAI_CHAT:
            return counted
        unseen = ask.picture_count - len(ask.pictures)
        seen = sum(tiles.tokens(picture.width, picture.height) for picture in ask.pictures)
        return counted + seen + unseen * tiles.TOKENS_PER_TILE

    def _scored(self, ask: Ask, spoken: SpokenAnswer, answer: Answer) -> Answer:
        words, demand = self._vocabulary, ask.logprobs
        assert demand is not None
        scores: tuple[TokenScore, ...] = ()
        if demand.top is not None:
            ids = words.ids(spoken.text)[: len(answer.pieces)]
            scores = logprobs.scored(spoken, answer.pieces, ids, demand.top, words)
        if demand.prompt is None:
            return replace(answer, scores=scores)
        pieces, ids = words.pieces(ask.prompt), words.ids(ask.prompt)
        read = logprobs.scored(SpokenAnswer(ask.prompt), pieces, ids, max(demand.prompt, 1), words)
        return replace(answer, scores=scores, prompt_scores=read)

    async def _once(self, key: str, work: Callable[[], _T], threads: ThreadPoolExecutor) -> _T:
        """Return the result of ``work`` on a picture, from memory if it was done before."""
        remembered = self._memory.get(key)
        if remembered is not None:
            return cast("_T", remembered)
        try:
            made = await asyncio.get_running_loop().run_in_executor(threads, work)
        except (OSError, SyntaxError, ValueError):
            raise refused_by_model("could not decode image") from None
        self._memory.put(key, made)
        return made


def cut(pieces: list[str], sampling: Sampling) -> tuple[tuple[str, ...], str]:
    """Return the tokens within the limits, and why the generation ends there."""
    stopped = _cut_at_stop(pieces, sampling.stop_sequences)
    if stopped is not None and len(stopped) <= sampling.max_gen_len:
        return tuple(stopped), "stop_sequence"
    if len(pieces) > sampling.max_gen_len:
        return tuple(pieces[: sampling.max_gen_len]), "length"
    return tuple(pieces), "stop"


def _cut_at_stop(pieces: list[str], sequences: tuple[str, ...]) -> list[str] | None:
    text = "".join(pieces)
    places = [place for place in map(text.find, sequences) if place >= 0]
    if not places:
        return None
    end, kept = min(places), []
    for piece in pieces:
        if end <= 0:
            break
        kept.append(piece[:end])
        end -= len(piece)
    return kept
