"""Where a checked ask becomes an answer: pictures are looked at in threads, tokens counted."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.emulator import answering, sight
from app.emulator.config import EmulatorConfig
from app.emulator.conversation import Answer, Ask, Picture, Sampling
from app.emulator.errors import AwsError, invalid
from app.emulator.sight import Sight
from app.emulator.vocabulary import Vocabulary

_REMEMBERED = 256
_T = TypeVar("_T")


@dataclass(slots=True)
class Remembered:
    """The latest results by key, so that a picture seen twice is decoded once."""

    size: int = _REMEMBERED
    _entries: OrderedDict[str, object] = field(default_factory=OrderedDict)

    def get(self, key: str) -> object | None:
        """Return what is remembered under ``key``."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, value: object) -> None:
        """Remember ``value``, and forget the oldest when there are too many."""
        self._entries[key] = value
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)


class Mind:
    """The pretended model."""

    def __init__(self, config: EmulatorConfig, vocabulary: Vocabulary) -> None:
        self._config = config
        self._vocabulary = vocabulary
        self._sights = Remembered()
        self._threads = ThreadPoolExecutor(config.workers, thread_name_prefix="emulator")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """Run CPU-bound work in one of the bounded threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def text(self, ask: Ask) -> str:
        """Return all that there is to say to ``ask``."""
        if self._config.fixed_answer is not None:
            return self._config.fixed_answer
        sights = [await self._seen(picture) for picture in ask.pictures]
        return answering.plain(ask, sights, self._config.seed)

    def spoken(self, ask: Ask, text: str) -> Answer:
        """Return ``text`` as the generation for ``ask``, cut to its limits."""
        pieces, stop = cut(self._vocabulary.pieces(text), ask.sampling)
        return Answer(pieces, self._vocabulary.count(ask.prompt), stop)

    async def _seen(self, picture: Picture) -> Sight:
        remembered = self._sights.get(picture.sha256)
        if isinstance(remembered, Sight):
            return remembered
        try:
            seen = await self.in_thread(partial(sight.look, picture))
        except (OSError, SyntaxError, ValueError):
            raise _undecodable() from None
        self._sights.put(picture.sha256, seen)
        return seen


def _undecodable() -> AwsError:
    return invalid("The model returned the following errors: could not decode image")


def cut(pieces: list[str], sampling: Sampling) -> tuple[tuple[str, ...], str]:
    """Return the tokens that the limits leave, and why the generation ends there."""
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
