"""Delivery of events: retried for a day, then abandoned, and always listed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from app.adapters.queue.sqlite import SqliteQueue, open_sqlite_queue
from app.domain.webhook import Delivery, DeliveryStatus, WebhookReply
from app.domain.work import Finished, Postponed, WorkKind
from app.services.webhooks.handler import GIVE_UP_AFTER, WebhookHandler, wait
from app.services.webhooks.service import Webhooks

URL = "https://hooks.example.com/llm"
REFUSED = WebhookReply(503)


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Receiver:
    """A WebhookSender with scripted answers."""

    replies: list[WebhookReply] = field(default_factory=list)
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    def check(self, url: str) -> None:
        return

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookReply:
        self.received.append((headers, body))
        return self.replies.pop(0) if self.replies else REFUSED


@dataclass
class World:
    clock: Clock
    receiver: Receiver
    webhooks: Webhooks
    queue: SqliteQueue

    async def attempt(self) -> Finished | Postponed | None:
        """Do one step of a worker: lease, handle, store."""
        leased = await self.queue.lease("w", (WorkKind.WEBHOOK,), 1)
        if not leased:
            return None
        ended = await WebhookHandler(self.webhooks).handle(leased[0])
        if isinstance(ended, Finished):
            await self.queue.finish([ended])
        else:
            await self.queue.postpone([ended])
        return ended

    async def shown(self) -> Delivery:
        (delivery,) = await self.webhooks.deliveries("ann", 10)
        return delivery


@pytest.fixture
async def world(tmp_path) -> AsyncIterator[World]:
    clock, receiver = Clock(), Receiver()
    async with open_sqlite_queue(tmp_path / "work.sqlite3") as queue:
        queue.clock = clock
        webhooks = Webhooks(queue, receiver, b"secret", clock=clock)
        await webhooks.announce("ann", URL, "batch.completed", "batch_1")
        yield World(clock, receiver, webhooks, queue)


async def test_an_accepted_event_is_delivered_once(world: World) -> None:
    world.receiver.replies = [WebhookReply(204)]
    assert isinstance(await world.attempt(), Finished)
    assert await world.attempt() is None
    shown = await world.shown()
    assert (shown.status, shown.attempts, shown.last_status) == ("delivered", 1, 204)


async def test_an_event_announced_twice_is_stored_once(world: World) -> None:
    await world.webhooks.announce("ann", URL, "batch.completed", "batch_1")
    await world.webhooks.announce("ann", URL, "batch.failed", "batch_1")
    assert len(await world.webhooks.deliveries("ann", 10)) == 2
    assert await world.webhooks.deliveries("bob", 10) == ()


async def test_a_failed_attempt_is_repeated_later_with_the_same_id_and_body(world: World) -> None:
    world.receiver.replies = [REFUSED, WebhookReply(fault="no answer"), WebhookReply(200)]
    await world.attempt()
    assert await world.attempt() is None, "it is not time yet"
    for _ in range(2):
        world.clock.now = (await world.shown()).next_attempt_at
        await world.attempt()
    shown = await world.shown()
    assert (shown.status, shown.attempts) == (DeliveryStatus.DELIVERED, 3)
    heads, bodies = zip(*world.receiver.received, strict=True)
    assert len(set(bodies)) == 1
    assert len({head["webhook-id"] for head in heads}) == 1
    assert len({head["webhook-timestamp"] for head in heads}) == 3, "each attempt is signed anew"


async def test_after_a_day_an_event_is_abandoned_and_shown_as_such(world: World) -> None:
    began = world.clock.now
    while (await world.shown()).status is DeliveryStatus.PENDING:
        await world.attempt()
        # The queue returns an item after at most two minutes; the handler then waits on.
        world.clock.now += 120
    last = await world.shown()
    assert last.status is DeliveryStatus.GIVEN_UP
    assert last.last_status == 503
    assert 10 <= last.attempts <= 16
    assert GIVE_UP_AFTER * 0.75 < world.clock.now - began <= GIVE_UP_AFTER + 240
    assert await world.attempt() is None


async def test_a_receiver_that_answers_410_is_not_called_again(world: World) -> None:
    world.receiver.replies = [WebhookReply(410)]
    await world.attempt()
    assert (await world.shown()).status is DeliveryStatus.GIVEN_UP


async def test_a_receiver_can_ask_for_a_later_attempt(world: World) -> None:
    world.receiver.replies = [WebhookReply(429, retry_after=900)]
    await world.attempt()
    assert (await world.shown()).next_attempt_at == world.clock.now + 900


async def test_a_finished_delivery_is_deleted_after_a_week(world: World) -> None:
    world.receiver.replies = [WebhookReply(200)]
    await world.attempt()
    world.clock.now += 8 * 24 * 3600
    async with asyncio.TaskGroup() as steps:
        await WebhookHandler(world.webhooks).tend(steps)
    assert await world.webhooks.deliveries("ann", 10) == ()


async def test_looking_after_deliveries_does_not_sweep_each_second(world: World) -> None:
    handler = WebhookHandler(world.webhooks)
    async with asyncio.TaskGroup() as steps:
        await handler.tend(steps)
        world.receiver.replies = [WebhookReply(200)]
        await world.attempt()
        world.clock.now += 8 * 24 * 3600
        await handler.tend(steps)
    assert len(await world.webhooks.deliveries("ann", 10)) == 1


def test_the_wait_between_attempts_grows_up_to_a_bound() -> None:
    waits = [wait(attempt) for attempt in range(1, 12)]
    assert waits[0] <= 6
    assert max(waits) == waits[-1] == 4 * 3600
    assert waits == sorted(waits)
