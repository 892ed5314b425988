"""The usage ledger writes each count once, even if whoever waits for it is cancelled."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

from app.adapters.stores.usage_memory import MemoryUsage
from app.domain.errors import UsageStoreError
from app.domain.usage import UsageBatch
from app.services.usage.ledger import FLUSH_SECONDS, MAX_PENDING, OVERFLOW, UsageLedger, open_ledger
from app.telemetry import RequestRecord
from app.telemetry.metrics import Metrics

ASKED = RequestRecord(model="m", attempts=1, prompt_tokens=7)


@dataclass(frozen=True)
class SlowUsage(MemoryUsage):
    """Writes in a thread, as SQLite's store does: cancelling a waiter stops no write."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[UsageStoreError] = field(default_factory=list)

    async def add(self, batch: UsageBatch) -> None:
        self.begun.set()
        await asyncio.shield(asyncio.create_task(self._write(batch)))

    async def _write(self, batch: UsageBatch) -> None:
        await self.go.wait()
        if self.failures:
            raise self.failures.pop()
        await super().add(batch)

    def written(self) -> int:
        return sum(counts.prompt_tokens for counts in self.kept.values())


async def test_a_write_in_progress_at_shutdown_is_counted_once():
    store = SlowUsage()
    async with open_ledger(store, Metrics()) as ledger:
        ledger(ASKED)
        await asyncio.wait_for(store.begun.wait(), FLUSH_SECONDS * 10)
        asyncio.get_running_loop().call_later(0.05, store.go.set)

    assert store.written() == 7


async def left_by_its_reader(ledger: UsageLedger, store: SlowUsage) -> None:
    """Begin a write, and cancel the read that waits for it."""
    reading = asyncio.create_task(ledger.flush())
    await store.begun.wait()
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


async def test_a_write_whose_reader_disconnects_is_counted_once():
    store = SlowUsage()
    ledger = UsageLedger(store, Metrics())
    ledger(ASKED)
    await left_by_its_reader(ledger, store)
    store.go.set()
    await ledger.flush()

    assert store.written() == 7


async def test_a_write_that_fails_after_its_reader_disconnected_is_repeated():
    store = SlowUsage(failures=[UsageStoreError("away")])
    ledger = UsageLedger(store, Metrics())
    ledger(ASKED)
    await left_by_its_reader(ledger, store)
    ledger(ASKED)
    store.go.set()
    await ledger.flush()

    assert store.written() == 14


async def test_usage_of_ever_more_callers_is_counted_in_bounded_memory():
    store = MemoryUsage()
    ledger = UsageLedger(store, Metrics())
    for number in (*range(MAX_PENDING + 3), 0):
        ledger(replace(ASKED, caller=str(number)))
    await ledger.flush()

    requests = {key.caller: counts.requests for key, counts in store.kept.items()}
    assert len(requests) == MAX_PENDING + 1
    assert requests[OVERFLOW] == 3
    assert requests["0"] == 2
