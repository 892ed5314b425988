"""Usage of this process only, which ends with it."""

from dataclasses import dataclass, field

from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """A UsageStore in memory, for machines without a disk and for tests."""

    kept: dict[UsageKey, UsageCounts] = field(default_factory=dict)

    async def add(self, batch: UsageBatch) -> None:
        """Add the batch's rows."""
        for row in batch.rows:
            self.kept[row.key] = self.kept.get(row.key, UsageCounts()) + row.counts

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows."""
        rows = (
            UsageRow(key, counts)
            for key, counts in self.kept.items()
            if query.first <= key.day <= query.last and query.caller in (None, key.caller)
        )
        return tuple(sorted(rows, key=lambda r: (r.key.day, r.key.model, r.key.caller, r.key.task)))
