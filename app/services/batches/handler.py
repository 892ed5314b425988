"""Runs the rows of batches through their endpoint while there is spare capacity."""

import time
from asyncio import TaskGroup
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import floor

import orjson

from app.domain.batch import Batch, BatchStatus
from app.domain.errors import FileNotFoundHereError, ImageError, InternalError, ServiceError
from app.domain.file import StoredFile
from app.domain.generation import Completion
from app.domain.ports import WorkQueue
from app.domain.work import Finished, Leased, Postponed, WorkKind
from app.services.batches import input_file, kept_completion, record
from app.services.batches import row as rows
from app.services.batches.estimate import Pace
from app.services.batches.keeper import BatchKeeper
from app.services.batches.output import unanswered
from app.services.batches.retry import again, patience
from app.services.batches.row import Place
from app.services.concurrency.background import background
from app.services.concurrency.single_flight import SingleFlight
from app.services.files.service import FileService
from app.services.model_stack.target import TargetGuard
from app.services.work.endpoint import Endpoint, EndpointAnswer, EndpointRequest
from app.telemetry.metrics import BATCH_ROWS, Metrics

_REMEMBERED = 1.0
"""Seconds for which a batch and its input file are cached after they were read."""
_ALONE = 4
"""Divisor of the maximum concurrent rows while there are interactive requests."""
_BEFORE_THE_END = (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING)

_NOTICED = 1.0
"""Seconds after an interactive request for which more of them are expected."""
GAP = 0.005
"""Seconds between the starts of two rows during interactive use. Rows that begin together end
together, and each burst would delay the requests behind it."""


@dataclass(slots=True)
class RowShare:
    """The share of the service's capacity that rows may use."""

    share: float
    """Fraction of each target's slots."""
    most: int
    """Maximum concurrent rows; 0 if this process runs none."""
    guards: tuple[TargetGuard, ...]
    _others_until: float = 0

    def room(self, running: int) -> int:
        """Return how many more rows may begin; interactive requests go first."""
        if not self.most:
            return 0
        slots = self.guards[0].slots
        if slots.waiting:
            return 0
        # Counted by slots, since running rows that still prepare their images hold none.
        others = slots.taken - slots.background
        now = time.monotonic()
        if others:
            self._others_until = now + _NOTICED
        most = self.most if now >= self._others_until else max(1, self.most // _ALONE)
        left = floor(self.share * slots.capacity) - others
        return max(min(most, left), 0 if running else 1) - running

    def gap(self) -> float:
        """Return the minimum seconds between the starts of two rows."""
        return GAP if time.monotonic() < self._others_until else 0


def _goes_on(batch: Batch, place: Place) -> bool:
    """Return whether the row is still to be answered; a paid one is even if the batch is ending."""
    if batch.status not in _BEFORE_THE_END:
        return False
    return place.completion is not None or not batch.ends


def _completion(place: Place) -> Completion | None:
    """Return the batch job's answer to the row, or None."""
    return None if place.completion is None else kept_completion.read(place.completion)


@dataclass(frozen=True, slots=True)
class _Source:
    """A cached batch and its input file."""

    until: float
    """The time on the monotonic clock at which they are read again."""
    batch: Batch | None
    """None if it was deleted."""
    input: StoredFile | None
    """The input file; None if it was deleted."""


@dataclass(slots=True)
class RowHandler:
    """A `WorkHandler` for batch rows."""

    queue: WorkQueue
    files: FileService
    endpoint: Endpoint
    keeper: BatchKeeper
    share: RowShare
    metrics: Metrics
    seconds: float
    """Time limit of one row in seconds."""
    pace: Pace
    _sources: dict[str, _Source] = field(default_factory=dict)
    _reading: SingleFlight[str, _Source] = field(default_factory=SingleFlight)
    _resting: dict[str, float] = field(default_factory=dict)
    """Callers whose limits are exhausted, each with the monotonic time at which rows may resume."""
    _all_rest: float = 0

    @property
    def kind(self) -> WorkKind:
        """Return the kind of work."""
        return WorkKind.BATCH_ROW

    @property
    def interruptible(self) -> bool:
        """Return False, since the answer of a row that has begun may be paid for."""
        return False

    def room(self, running: int) -> int:
        """Return how many more rows may begin now."""
        if self._all_rest > time.monotonic():
            return min(1 - running, self.share.room(running))
        return self.share.room(running)

    def gap(self) -> float:
        """Return the minimum seconds between the starts of two rows."""
        return self.share.gap()

    def resting(self) -> Collection[str]:
        """Return the callers whose limits are exhausted for now."""
        now = time.monotonic()
        self._resting = {owner: until for owner, until in self._resting.items() if until > now}
        return self._resting.keys()

    async def tend(self, steps: TaskGroup) -> None:
        """Advance all batches."""
        await self.keeper.tend(steps)

    async def handle(self, work: Leased) -> Finished | Postponed:
        """Answer one row."""
        source = await self._source(work)
        batch = source.batch
        place = Place.read(work.payload)
        if batch is not None and batch.ends and place.completion is None and batch.has_job_answers:
            # Failed at once, because the keeper ends the batch only when no row is open.
            return self._failed(work, unanswered(batch.ending))
        if batch is None or source.input is None or not _goes_on(batch, place):
            # The keeper will cancel the row.
            return Postponed(work, 1, counted=False)
        try:
            line = await self.files.read_range(source.input, place.start, place.end)
        except FileNotFoundHereError:
            return Postponed(work, 1, counted=False)
        began = time.monotonic()
        request = EndpointRequest(
            rows.request_id(work.group, work.position),
            batch.endpoint,
            line,
            batch.caller,
            self.seconds,
            rows.parsed(line, batch.endpoint).body,
            completion=_completion(place),
            patience=patience,
        )
        with background():
            answer = await self.endpoint.answer(request)
        if answer.error is not None:
            postponed = self._postponed(work, answer.error)
            if postponed is not None:
                return postponed
            if request.completion is not None and isinstance(answer.error, ImageError):
                answer = await self._without_pictures(request, answer)
        self.pace.note(time.monotonic() - began)
        succeeded = answer.status < 400
        self.metrics.count(BATCH_ROWS, outcome="succeeded" if succeeded else "failed")
        return Finished(work, succeeded, rows.result(answer.status, answer.body), answer.usage)

    async def _without_pictures(
        self, request: EndpointRequest, refused: EndpointAnswer
    ) -> EndpointAnswer:
        """Return the batch job's paid answer for a row whose images are no longer available.

        Only the answer's statements about its images are lost. Returns ``refused`` if that fails.
        """
        assert request.value is not None
        bare = rows.without_pictures(dict(request.value))
        # The answer must not be cached as the answer to the question without images.
        headers = {"cache-control": "no-store"}
        with background():
            answer = await self.endpoint.answer(
                replace(request, body=orjson.dumps(bare), value=None, headers=headers)
            )
        return refused if answer.error is not None else answer

    def _postponed(self, work: Leased, error: ServiceError) -> Postponed | None:
        later = again(error, work.attempts)
        if later is None:
            return None
        until = time.monotonic() + later.seconds
        if later.caller_rests:
            self._resting[work.owner] = max(until, self._resting.get(work.owner, 0))
        if later.all_rest:
            self._all_rest = max(until, self._all_rest)
        self.metrics.count(BATCH_ROWS, outcome="postponed")
        return Postponed(work, later.seconds, later.counted)

    async def _source(self, work: Leased) -> _Source:
        """Return the row's batch and input file, read once for rows that begin together."""
        source = self._sources.get(work.group)
        if source is not None and source.until > time.monotonic():
            return source
        return await self._reading.run(work.group, partial(self._read_source, work))

    async def _read_source(self, work: Leased) -> _Source:
        kept = await self.queue.group(work.owner, work.group)
        batch = stored = None
        if kept is not None:
            batch = record.read(kept)
            with suppress(FileNotFoundHereError):
                stored = await input_file.of_batch(self.files, batch)
        now = time.monotonic()
        source = _Source(now + _REMEMBERED, batch, stored)
        self._sources = {name: one for name, one in self._sources.items() if one.until > now}
        self._sources[work.group] = source
        return source

    def exhausted(self, work: Leased) -> Finished:
        """Return a failed result for a row that used up its attempts."""
        error = InternalError("the row was begun many times, and never answered")
        return self._failed(work, error)

    def _failed(self, work: Leased, error: ServiceError) -> Finished:
        self.metrics.count(BATCH_ROWS, outcome="failed")
        body = orjson.dumps({"error": {"code": error.code, "message": error.detail}})
        return Finished(work, False, rows.result(error.status, body))
