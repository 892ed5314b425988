"""A process's claim on a batch."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.access import ANONYMOUS
from app.domain.batch import Batch
from app.services.batches import claim as claims
from app.services.batches import record
from app.services.batches.claim import CLAIM, Claim, LostError

BATCH = Batch("batch_1", ANONYMOUS, "/v1/generate", "file-1", "24h", None, 0, 0)


@pytest.fixture
async def queue(tmp_path):
    async with open_sqlite_queue(tmp_path / "w.sqlite3") as queue:
        await queue.open(record.group(BATCH))
        yield queue


async def kept(queue) -> Batch:
    group = await queue.group(ANONYMOUS.id, BATCH.id)
    assert group is not None
    return record.read(group)


async def test_a_killed_process_holds_a_claim_for_at_most_fifteen_seconds(queue):
    assert await Claim(queue, "killed", BATCH, lambda: 0).take()
    held = await kept(queue)

    assert not await Claim(queue, "next", held, lambda: 14).take()
    assert await Claim(queue, "next", held, lambda: 15).take()
    assert CLAIM == 15


async def test_a_claim_from_before_the_clock_was_set_back_is_void(queue):
    assert await Claim(queue, "killed", BATCH, lambda: 1000).take()
    assert await Claim(queue, "next", await kept(queue), lambda: 0).take()


async def test_a_claim_is_renewed_whatever_is_done_under_it(queue, monkeypatch):
    monkeypatch.setattr(claims, "CLAIM", 0.003)
    now = [0.0]
    claim = Claim(queue, "me", BATCH, lambda: now[0])
    assert await claim.take()
    async with claim:
        before = claim.batch
        now[0] = 100
        while claim.batch.claimed_until < 100:  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0)
        await claim.check()
        await claim.change(replace(before, input_file_id="file-2"))
        assert (await kept(queue)).input_file_id == "file-2"
        assert (await kept(queue)).claimed_until > 100
    assert (await kept(queue)).claimed_by == ""


async def test_a_lost_claim_is_noticed_and_allows_no_further_change(queue):
    claim = Claim(queue, "slow", BATCH, lambda: 0)
    assert await claim.take()
    assert await Claim(queue, "next", claim.batch, lambda: CLAIM).take()
    for _ in range(2):
        with pytest.raises(LostError):
            await claim.change(replace(claim.batch, input_file_id="file-2"))
        with pytest.raises(LostError):
            await claim.check()
    assert (await kept(queue)).claimed_by == "next"
