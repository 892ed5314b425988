"""Estimates a batch before it runs: a sample of its rows is processed up to the model call."""

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
"""Maximum number of sampled rows, spread evenly over the file."""
_NOTHING = Usage(0, 0)


@dataclass(slots=True)
class Pace:
    """The smoothed time that rows take in this process."""

    at_once: int
    """Number of rows answered concurrently."""
    seconds: float | None = None
    """Smoothed seconds per row; None until a row has been answered."""

    def note(self, seconds: float) -> None:
        """Add one row's time in seconds to the average."""
        known = self.seconds
        self.seconds = seconds if known is None else known + 0.05 * (seconds - known)


@dataclass(slots=True)
class CountingModel:
    """A `VisionModel` that counts calls and tokens and returns empty answers."""

    counter: TokenCounter
    calls: int = 0
    prompt_tokens: int = 0
    reserved: int = 0
    """The sum of the requests' maximum answer lengths, in tokens."""
    tiles: int = 0

    async def generate(self, request: ModelRequest) -> Completion:
        """Count ``request`` and return an empty guardrail answer, which is never repaired."""
        await self._count(request)
        return Completion("", _NOTHING, StopReason.GUARDRAIL, None)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Count ``request`` and stream the same empty answer."""
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
    """The estimate of a batch, extrapolated from ``sampled`` of its ``rows``."""

    rows: int
    sampled: int
    refused: int
    """Number of sampled rows that would fail."""
    calls: int
    prompt_tokens: int
    generation_tokens: int
    """Upper bound of generated tokens."""
    tiles: int
    least_usd: float | None
    most_usd: float | None
    windows: int | None
    """Five-minute windows of one copy of an imported model; None if billing is by tokens."""
    seconds: float | None
    """Estimated duration of the whole batch; None until this process has answered rows."""


@dataclass(frozen=True, slots=True)
class BatchEstimates:
    """Estimates the cost and duration of batches."""

    files: FileService
    counter: TokenCounter
    price: Pricing | None
    limits: IntakeLimits
    pace: Pace
    asking: Callable[[VisionModel], Endpoint]
    """Returns this service's endpoints with another model behind them."""
    seconds: float
    """Time limit of one sampled row in seconds."""
    _one: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def estimate(self, caller: Caller, file_id: str, endpoint: str) -> BatchEstimate:
        """Return the batch's estimated cost and time.

        Raises InvalidParameterError if the input file is invalid or its rows can't be priced,
        FileNotFoundHereError or FilePurposeError.
        """
        stored = await self.files.get(caller.id, file_id)
        if stored.purpose is not FilePurpose.BATCH:
            raise FilePurposeError.at("input_file_id", f"was uploaded for {stored.purpose}")
        model = CountingModel(self.counter)
        endpoints = self.asking(model)
        # One estimate at a time, since its images compete with interactive requests for CPU.
        async with self._one:
            places = await self._places(stored, endpoint, endpoints)
            step = max(1, ceil(len(places) / SAMPLE))
            sample = places[::step]
            refused = 0
            for number, place in enumerate(sample):
                line = await self.files.read_range(stored, place.start, place.end)
                body = rows.parsed(line, endpoint).body
                if body.get("knowledge_base") is not None:
                    # Retrieval costs money, and the retrieved passages decide the prompt's length.
                    raise InvalidParameterError.at(
                        "input_file_id", "rows that ask a knowledge base can't be priced"
                    )
                request = EndpointRequest(
                    f"estimate_{number}", endpoint, line, caller, self.seconds, body
                )
                refused += (await endpoints.answer(request)).error is not None
        return self._scaled(model, len(places), len(sample), refused)

    async def _places(
        self, stored: StoredFile, endpoint: str, endpoints: Endpoint
    ) -> list[rows.Place]:
        async def alive() -> None:
            pass

        intake = Intake(self.files, stored, endpoint, endpoints.unknown_fields, self.limits, alive)
        await intake.read()
        if intake.faults:
            messages = "; ".join(fault.message for fault in intake.faults[:5])
            raise InvalidParameterError.at("input_file_id", messages)
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
