"""Runs a task: validates it, splits it into questions, asks them and concludes."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace

from app.domain.errors import ImagesMissingError, InvalidParameterError
from app.domain.generation import CallContext
from app.services.answers.repair import FormAsker
from app.services.documents.page import PageRangeError
from app.services.documents.page_images import Choice, Documents, Shot, shot_of
from app.services.evidence.reader import NoReader, Reader
from app.services.generation.service import GenerationService
from app.services.generation.validation import too_many
from app.services.guardrails.document_texts import DocumentTexts
from app.services.guardrails.policies import GuardrailPolicies
from app.services.task_runner.disclosure import Disclosure
from app.services.task_runner.request import (
    Notify,
    TaskAnswer,
    TaskRequest,
    fingerprint,
    ignored,
    slim,
)
from app.services.task_runner.run import Run
from app.services.task_runner.verification import Verification
from app.services.tasks.spec import DocumentParameters, TaskParameterError
from app.telemetry import current

DECODING = 1.2
"""CPU seconds for each page of a job, the same as a request has for each of fifty pages."""
CONCURRENCY = 4
"""Maximum concurrent model calls of one task."""


@dataclass(frozen=True, slots=True)
class TaskService:
    """Runs tasks."""

    generations: GenerationService
    documents: Documents
    asker: FormAsker
    reader: Reader = field(default_factory=NoReader)
    texts: DocumentTexts = field(default_factory=lambda: DocumentTexts(GuardrailPolicies()))
    concurrency: int = CONCURRENCY

    async def run(self, request: TaskRequest, notify: Notify = ignored) -> TaskAnswer:
        """Return the task's answer, or raise one of `app.domain.errors`.

        A failed question is reported in the result as long as another one was answered. With an
        idempotency key there is no progress, because a second caller could not get it.
        """
        current().task = request.task.name
        if request.call_context.idempotency_key is None:
            return await self._run(request, notify)

        async def make(call_context: CallContext) -> TaskAnswer:
            return slim(await self._run(replace(request, call_context=call_context), ignored))

        digest = await self.generations.threads.run(fingerprint, request)
        return await self.generations.answers.share(request.call_context, digest, make)

    async def _run(self, request: TaskRequest, notify: Notify) -> TaskAnswer:
        _check(request)
        if request.most_pages is not None:
            current().decoder_seconds = DECODING * request.most_pages
        verification = Verification(
            request.task, request.parameters, self.asker.reader, self.reader
        )
        if verification.wanted == "strict" and not self.reader.able:
            raise InvalidParameterError.at(
                "verify", "strict needs an OCR engine, and this service has none; use report"
            )
        capabilities = self.generations.capabilities
        slots = asyncio.Semaphore(self.concurrency)
        disclosure = Disclosure(self.texts, request.call_context)
        run = Run(
            request, self.asker, capabilities.max_images, slots, notify, verification, disclosure
        )
        async with AsyncExitStack() as held:
            with _parameters():
                shots = await self._shots(request, held)
                questions = request.task.questions(request.parameters, len(shots), capabilities)
            findings = await run.ask_all(questions, shots)
        result, faults = await run.conclude(findings)
        return await run.answer(result, faults)

    async def _shots(self, request: TaskRequest, held: AsyncExitStack) -> list[Shot]:
        match request.parameters:
            case DocumentParameters() as wanted:
                async with self.generations.drain.before(request.call_context.deadline):
                    return await held.enter_async_context(
                        self.documents.shots(request.images, _choice(wanted, request.most_pages))
                    )
            case _:
                return [shot_of(image, page) for page, image in enumerate(request.images, 1)]


def _choice(wanted: DocumentParameters, most_pages: int | None) -> Choice:
    return Choice(wanted.pages, wanted.detail, wanted.wants_text, most_pages)


def _check(request: TaskRequest) -> None:
    accepted = request.task.images
    if len(request.images) < accepted.least:
        raise ImagesMissingError.at(
            "images",
            f"{request.task.name} takes at least {accepted.least}; "
            f"{len(request.images)} were given",
        )
    if len(request.images) > accepted.most:
        raise too_many(
            request.images,
            accepted.most,
            f"{request.task.name} takes at most {accepted.most}; {len(request.images)} were given",
        )


@contextmanager
def _parameters() -> Iterator[None]:
    """Turn parameter faults of a task into InvalidParameterError with the parameter's name."""
    try:
        yield
    except (TaskParameterError, PageRangeError) as error:
        name = error.parameter if isinstance(error, TaskParameterError) else "pages"
        raise InvalidParameterError.at(name, str(error)) from error
