"""Estimates of batches before they run: a sample of the rows goes all the way to the model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil

from app.domain.access import Caller
from app.domain.cost import WINDOW_SECONDS, Pricing, UnitPrice
from app.domain.errors import FilePurposeError, InvalidParameterError
from app.domain.file import FilePurpose, StoredFile
from app.domain.generation import Completion, Delta, Finish, ModelRequest, StopReason, StreamParts
from app.domain.ports import TokenCounter, VisionModel
from app.domain.usage import Usage
from app.services.batches import row as rows
from app.services.batches.intake import Intake, IntakeLimits
from app.services.files.service import FileService
from app.services.images import canvas
from app.services.work.endpoint import Endpoint, EndpointRequest

SAMPLE = 20
"""Rows that are tried, spread over the file."""
_NOTHING = Usage(0, 0)


@dataclass(slots=True)
class Pace:
    """How long rows took in this process, smoothed. Seconds."""

    at_once: int
    """Rows that are answered at a time."""
    seconds: float | None = None
    """The time of one row; None until one was answered."""

    def note(self, seconds: float) -> None:
        """Count one row."""
        known = self.seconds
        self.seconds = seconds if known is None else known + 0.05 * (seconds - known)


@dataclass(slots=True)
class CountingModel:
    """A `VisionModel` that counts what it is asked and says nothing."""

    counter: TokenCounter
    calls: int = 0
    prompt_tokens: int = 0
    reserved: int = 0
    """Tokens of the longest answers."""
    tiles: int = 0

    async def generate(self, request: ModelRequest) -> Completion:
        """Return an answer that nobody asks about again: a guardrail's."""
        await self._count(request)
        return Completion("", _NOTHING, StopReason.GUARDRAIL, None)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream the same."""
        await self._count(request)

        async def parts() -> AsyncIterator[StreamParts]:
            yield (Delta(""), Finish(_NOTHING, StopReason.GUARDRAIL, None))

        yield parts()

    async def _count(self, request: ModelRequest) -> None:
        self.calls += 1
        self.prompt_tokens += (await self.counter.count(request)).tokens
        self.reserved += request.sampling.max_gen_len
        for turn in request.turns:
            for image in turn.images:
                self.tiles += canvas.choose(image.width, image.height).tiles


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """The estimate of a batch, reckoned from ``sampled`` of its ``rows``."""

    rows: int
    sampled: int
    refused: int
    """Rows of the sample that would be answered with an error."""
    calls: int
    prompt_tokens: int
    generation_tokens: int
    """Upper bound of generated tokens."""
    tiles: int
    least_usd: float | None
    most_usd: float | None
    windows: int | None
    """Five-minute windows of one copy of an imported model; None where tokens are paid for."""
    seconds: float | None
    """None until this process has answered rows."""


@dataclass(frozen=True, slots=True)
class BatchEstimates:
    """Prices batches."""

    files: FileService
    counter: TokenCounter
    price: Pricing | None
    limits: IntakeLimits
    pace: Pace
    asking: Callable[[VisionModel], Endpoint]
    """Gives the service's own endpoints, in front of another model."""
    seconds: float
    """Seconds that one row of the sample may take."""
    _one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def estimate(self, caller: Caller, file_id: str, endpoint: str) -> BatchEstimate:
        """Return the batch's estimated cost and time.

        Raises InvalidParameterError where its file would fail it, FileNotFoundHereError or
        FilePurposeError.
        """
        stored = await self.files.get(caller.id, file_id)
        if stored.purpose is not FilePurpose.BATCH:
            raise FilePurposeError.at("input_file_id", f"was uploaded for {stored.purpose}")
        model = CountingModel(self.counter)
        asked = self.asking(model)
        # One at a time: pictures of the sample are prepared beside those of interactive requests.
        async with self._one:
            places = await self._places(stored, endpoint, asked)
            step = max(1, ceil(len(places) / SAMPLE))
            sample = places[::step]
            refused = 0
            for number, place in enumerate(sample):
                line = await self.files.read_range(stored, place.start, place.end)
                body = rows.parsed(line, endpoint).body
                if body.get("knowledge_base") is not None:
                    # To look is paid for, and what is found decides how long the prompt is.
                    raise InvalidParameterError.at(
                        "input_file_id", "rows that ask a knowledge base can't be priced"
                    )
                request = EndpointRequest(
                    f"estimate_{number}", endpoint, line, caller, self.seconds, body
                )
                refused += (await asked.answer(request)).error is not None
        return self._scaled(model, len(places), len(sample), refused)

    async def _places(self, stored: StoredFile, endpoint: str, asked: Endpoint) -> list[rows.Place]:
        async def alive() -> None:
            pass

        intake = Intake(self.files, stored, endpoint, asked.unknown_fields, self.limits, alive)
        await intake.read()
        if intake.faults:
            told = "; ".join(fault.message for fault in intake.faults[:5])
            raise InvalidParameterError.at("input_file_id", told)
        return intake.places

    def _scaled(
        self, model: CountingModel, count: int, sampled: int, refused: int
    ) -> BatchEstimate:
        factor = count / sampled
        prompt, reserved = round(model.prompt_tokens * factor), round(model.reserved * factor)
        seconds = self.pace.seconds
        whole = None if seconds is None else round(count * seconds / self.pace.at_once, 1)
        least = most = windows = None
        if isinstance(self.price, UnitPrice):
            if whole is not None:
                windows = max(1, ceil(whole / WINDOW_SECONDS))
            if windows is not None and self.price.units_per_copy is not None:
                least = most = round(windows * self.price.window_cost, 6)
        elif self.price is not None:
            lower, upper = self.price.most(prompt, 0), self.price.most(prompt, reserved)
            least = None if lower is None else lower.total
            most = None if upper is None else upper.total
        return BatchEstimate(
            rows=count,
            sampled=sampled,
            refused=refused,
            calls=round(model.calls * factor),
            prompt_tokens=prompt,
            generation_tokens=reserved,
            tiles=round(model.tiles * factor),
            least_usd=least,
            most_usd=most,
            windows=windows,
            seconds=whole,
        )
