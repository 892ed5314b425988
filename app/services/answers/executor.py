"""Reads answers in threads, off the event loop."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from app.domain.generation import StopReason
from app.services.answers.form import Form
from app.services.answers.reading import read
from app.services.answers.schemas.schema import weight
from app.services.answers.text.notes import Reading
from app.services.concurrency.fair_threads import FairThreads

P = ParamSpec("P")
T = TypeVar("T")
AnswerT = TypeVar("AnswerT")

THREADS = 2
"""Maximum answers read concurrently. More threads would only contend for the interpreter lock."""
SHORT = 2048
"""Maximum characters of an answer that is read on the event loop, as a thread would cost more."""

LIGHT = 8192
"""Maximum `weight` of the schema of such an answer."""


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads answers in a bounded number of threads.

    Reading time is proportional to an answer's length, which `text.objects.LONGEST` bounds, so no
    thread is occupied for long. Callers take turns.
    """

    threads: FairThreads

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["AnswerReader"]:
        """Yield a reader; its threads end with the block."""
        with closing(FairThreads("answers", THREADS)) as threads:
            yield cls(threads)

    async def read(self, text: str, form: Form[AnswerT], stop: StopReason) -> Reading[AnswerT]:
        """Return the reading of ``text``, or raise AnswerError."""
        if len(text) <= SHORT and weight(form.schema, LIGHT) <= LIGHT:
            return read(text, form, stop)
        return await self.run(read, text, form, stop)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in a thread and return its result."""
        return await self.threads.run(work, *args, **kwargs)
