"""Cold starts: an imported model that nobody used for minutes has to be loaded again."""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from app.domain.errors import ModelLoadingError
from app.domain.generation import Completion, ModelRequest, StreamParts
from app.domain.ports import VisionModel

REMEMBERED = 5
"""Number of starts whose durations are kept."""
FORGOTTEN_AFTER = 600
"""Seconds without a refusal for loading after which the next one begins another start."""
UNKNOWN = 60
"""Assumed seconds of a first start; an 11B takes minutes."""
UNLOADED_AFTER = 300
"""Seconds without a call after which Bedrock unloads an imported model's copy."""
LEAST = 5
"""Minimum seconds that clients are told to wait."""


class ModelState(StrEnum):
    """A model's state, as far as calls have shown."""

    UNKNOWN = "unknown"
    """The target was not called yet."""
    WARM = "warm"
    """The target answered within the last five minutes."""
    IDLE = "idle"
    """The target did not; an imported model may have been scaled to zero."""
    LOADING = "loading"
    """The model was scaled to zero and is being loaded."""


@dataclass(slots=True)
class ColdStarts:
    """One target's cold starts, as seen from this process, in seconds."""

    observe: Callable[[float], None] = lambda _: None
    """Called with the duration of each start."""
    clock: Callable[[], float] = time.monotonic
    began: float | None = None
    """The time at which the start in progress was first noticed, by ``clock``."""
    took: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The durations of the last starts, oldest first."""
    answered: float | None = None
    """The time of the last answer, by ``clock``."""
    _met: float = 0

    @property
    def loading_for(self) -> float | None:
        """The duration so far of the start in progress; None if there is none."""
        return None if self.began is None else self.clock() - self.began

    @property
    def state(self) -> ModelState:
        """The model's state, as far as calls have shown."""
        if self.began is not None:
            return ModelState.LOADING
        if self.answered is None:
            return ModelState.UNKNOWN
        warm = self.clock() - self.answered < UNLOADED_AFTER
        return ModelState.WARM if warm else ModelState.IDLE

    def loading(self) -> None:
        """Note that a call was refused because the model is loading."""
        now = self.clock()
        if self.began is None or now - self._met > FORGOTTEN_AFTER:
            self.began = now
        self._met = now

    def ready(self) -> None:
        """Note that a call was answered."""
        self.answered = self.clock()
        if self.began is not None:
            self.took.append(self.clock() - self.began)
            self.began = None
            self.observe(self.took[-1])

    def left(self) -> float:
        """Return the expected rest of the start in progress, estimated from earlier ones.

        Where it already takes longer than starts took, or none was seen, it is expected to take
        as long again as it has.
        """
        gone = self.loading_for or 0
        expected = median(self.took) if self.took else UNKNOWN
        return max(LEAST, expected - gone if gone < expected else gone)

    def detail(self) -> str:
        """Return the message for the caller."""
        text = (
            f"The model was scaled to zero and has been loading for {self.loading_for or 0:.0f} s."
        )
        if not self.took:
            return f"{text} No start was seen before; one usually takes minutes."
        seen = ", ".join(f"{seconds:.0f}" for seconds in self.took)
        return f"{text} The last starts took {seen} s."


@dataclass(frozen=True, slots=True)
class ColdStartModel:
    """Times cold starts, and tells callers how long to wait. Stands next to the metered model."""

    inner: VisionModel
    starts: ColdStarts

    async def generate(self, request: ModelRequest) -> Completion:
        """Answer as ``inner`` does, or raise ModelLoadingError with the expected wait."""
        try:
            completion = await self.inner.generate(request)
        except ModelLoadingError as error:
            raise self._described(error) from error
        self.starts.ready()
        return completion

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        """Stream as ``inner`` does; entering raises as `generate` does."""
        stream = self.inner.stream(request)
        try:
            parts = await stream.__aenter__()
        except ModelLoadingError as error:
            raise self._described(error) from error
        self.starts.ready()
        try:
            yield parts
        finally:
            await stream.__aexit__(None, None, None)

    def _described(self, error: ModelLoadingError) -> ModelLoadingError:
        self.starts.loading()
        wait = max(self.starts.left(), error.retry_after or 0)
        return ModelLoadingError(self.starts.detail(), errors=error.errors, retry_after=wait)
