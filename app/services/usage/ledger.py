"""Counts usage off the request's path, and reports it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from app.domain.errors import ServiceError
from app.domain.ports import UsageStore
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow
from app.services.concurrency.single_flight import Flight
from app.services.concurrency.task_scope import running
from app.telemetry import RequestRecord
from app.telemetry.metrics import Metrics

FLUSH_SECONDS = 0.5
"""Seconds between two writes, the maximum loss of a killed process; docs promise twice this."""
MAX_PENDING = 10_000
"""Maximum rows held while the store is unavailable; further keys' usage is then unattributed."""
OVERFLOW = "(others)"
NO_MODEL = "(none)"
"""The model of requests that a guardrail blocked before it was asked."""

log = structlog.get_logger()


@dataclass(slots=True)
class UsageLedger:
    """Adds usage up in memory, and moves it to the store twice a second."""

    store: UsageStore
    metrics: Metrics
    _pending: dict[UsageKey, UsageCounts] = field(default_factory=dict)
    _unwritten: UsageBatch | None = None
    """The batch that the store did not confirm; it is sent again unchanged."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __call__(self, record: RequestRecord) -> None:
        """Count a finished request that called the model or a guardrail. Never blocks or fails."""
        if record.attempts == 0 and not record.guardrail_units:
            return
        caller = record.caller or "anonymous"
        key = UsageKey(
            datetime.now(UTC).date(), record.model or NO_MODEL, caller, record.task or "generate"
        )
        if key not in self._pending and len(self._pending) >= MAX_PENDING:
            key = UsageKey(key.day, OVERFLOW, OVERFLOW, OVERFLOW)
        before, added = self._pending.get(key), counts(record)
        self._pending[key] = added if before is None else before + added

    async def flush(self) -> None:
        """Move the counts to the store, or keep them and raise UsageStoreError."""
        # A write that has begun may still succeed although a leaving client, or the service at its
        # end, no longer waits for it; only its outcome shows whether to repeat it.
        await Flight(self._move(), lasting=True).join()

    async def _move(self) -> None:
        async with self._turn:
            await self._write()
            if self._pending:
                rows = [UsageRow(key, counted) for key, counted in self._pending.items()]
                self._pending = {}
                self._unwritten = UsageBatch(uuid.uuid4().hex, tuple(self._writable(rows)))
                await self._write()

    def _writable(self, rows: list[UsageRow]) -> Iterator[UsageRow]:
        """Yield the rows that a store can hold; another would keep all later ones from it."""
        for row in rows:
            if row.counts.plausible:
                yield row
                continue
            self.metrics.count("llama_vision_usage_write_failures_total")
            log.error("usage row left out", key=tuple(map(str, row.key)), counts=str(row.counts))

    async def _write(self) -> None:
        if self._unwritten is not None:
            await self.store.add(self._unwritten)
            self._unwritten = None

    async def run(self) -> None:
        """Flush periodically until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._try_flush()

    async def rows(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows, including this process's latest ones."""
        await self.flush()
        return await self.store.read(query)

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except ServiceError as error:
            self.metrics.count("llama_vision_usage_write_failures_total")
            log.warning("usage not written", code=error.code, reason=error.detail)


def counts(record: RequestRecord) -> UsageCounts:
    """Return the counts that one request adds."""
    used = record.prompt_tokens + record.generation_tokens > 0
    return UsageCounts(
        requests=1,
        prompt_tokens=record.prompt_tokens,
        generation_tokens=record.generation_tokens,
        images=record.images,
        tiles=record.tiles,
        cost_usd=(record.cost_usd or 0) + record.guardrail_cost_usd,
        unpriced=1 if (used and record.cost_usd is None) or record.guardrail_units_unpriced else 0,
    )


@asynccontextmanager
async def open_ledger(store: UsageStore, metrics: Metrics) -> AsyncIterator[UsageLedger]:
    """Count from now on, and write the rest at the end."""
    ledger = UsageLedger(store, metrics)
    try:
        async with running(ledger.run()):
            yield ledger
    finally:
        await ledger._try_flush()  # noqa: SLF001 - its own module
