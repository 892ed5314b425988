"""Usage in Redis, for several replicas: one hash for each day, model, caller and task."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta

from redis.asyncio import Redis

from app.adapters.stores.redis_client import translated
from app.domain.errors import UsageStoreError
from app.domain.usage import UsageBatch, UsageCounts, UsageKey, UsageQuery, UsageRow

PREFIX = "llama-vision:usage:"
WRITTEN = "llama-vision:usage-written:"
_KEPT = timedelta(days=400)
_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """A day's rows are listed in a set of their names."""

    client: "Redis"
    written: str = field(default_factory=lambda: f"{WRITTEN}{uuid.uuid4().hex}")
    """The Redis key of this writer's last batch."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, batch: UsageBatch) -> None:
        """Add the batch's rows in one transaction, or raise UsageStoreError."""
        with translated(UsageStoreError):
            async with self.turn, self.client.pipeline(transaction=True) as pipe:
                # Watched, so that a batch still on its way from before the watch has no effect.
                await pipe.watch(self.written)
                if await pipe.get(self.written) == batch.id:
                    return
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(self.written, batch.id, ex=_REMEMBERED)
                for row in batch.rows:
                    day, name = _day(row.key.day), _name(row.key)
                    pipe.sadd(day, name)
                    pipe.expire(day, _KEPT)
                    for count in UsageCounts._fields:
                        pipe.hincrbyfloat(f"{day}:{name}", count, getattr(row.counts, count))
                    pipe.expire(f"{day}:{name}", _KEPT)
                await pipe.execute()

    async def read(self, query: UsageQuery) -> tuple[UsageRow, ...]:
        """Return the selected rows, or raise UsageStoreError."""
        days = [query.first + timedelta(days=i) for i in range((query.last - query.first).days + 1)]
        with translated(UsageStoreError):
            async with self.client.pipeline(transaction=False) as pipe:
                for day in days:
                    pipe.smembers(_day(day))
                names = dict(zip(days, await pipe.execute(), strict=True))
            keys = sorted(
                (_key(day, name) for day, members in names.items() for name in members),
                key=lambda key: (key.day, key.model, key.caller, key.task),
            )
            wanted = [key for key in keys if query.caller in (None, key.caller)]
            async with self.client.pipeline(transaction=False) as pipe:
                for key in wanted:
                    pipe.hgetall(f"{_day(key.day)}:{_name(key)}")
                counts = await pipe.execute()
        return tuple(UsageRow(key, _counts(c)) for key, c in zip(wanted, counts, strict=True))


def _day(day: date) -> str:
    return f"{PREFIX}{day.isoformat()}"


def _name(key: UsageKey) -> str:
    return json.dumps([key.model, key.caller, key.task])


def _key(day: date, name: str) -> UsageKey:
    model, caller, task = json.loads(name)
    return UsageKey(day, model, caller, task)


def _counts(fields: dict[str, str]) -> UsageCounts:
    cost = float(fields.pop("cost_usd", 0))
    return UsageCounts(**{name: round(float(n)) for name, n in fields.items()}, cost_usd=cost)
