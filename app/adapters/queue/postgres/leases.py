"""Takes, renews, expires and ends leases; callers take turns, each caller's items in order."""

from collections import Counter
from collections.abc import Collection, Sequence

from app.adapters.queue import fairness
from app.adapters.queue.postgres import items
from app.adapters.queue.postgres.jobs import Backlog, Jobs
from app.domain.work import LONGEST_WAIT, Leased, Postponed, WorkKind


async def take(
    jobs: Jobs,
    worker: str,
    kinds: Collection[WorkKind],
    limit: int,
    without: Collection[str],
    known: Collection[int],
) -> list[Leased]:
    """Lease at most ``limit`` items to ``worker``, none of the callers in ``without``.

    ``known`` are the ids of the items that the worker was given and still has.
    """
    # Mostly nothing waits, and this statement needs no transaction with others.
    backlog = await jobs.backlog()
    if any(line.ahead for line in backlog):
        await jobs.set_back()
        backlog = await jobs.backlog()
    if not any(line.kind in kinds and line.may_be_taken(without) for line in backlog):
        return []
    async with jobs.connection.transaction():
        lapsed: set[int] = set()
        if any(line.lapsed for line in backlog):
            lapsed = await _lapsed(jobs, worker, known)
        leased: list[Leased] = []
        for kind in kinds:
            of_kind = [line for line in backlog if line.kind is kind]
            taken = await _take_kind(jobs, worker, of_kind, limit - len(leased), without)
            leased += await _items(jobs, worker, of_kind, taken, lapsed)
        return leased


async def renew(jobs: Jobs, worker: str, known: Collection[int]) -> frozenset[int]:
    """Renew the worker's leases of the items ``known``, and return the ids of those it still has.

    Items leased to the worker but not in ``known`` never reached it, because the connection broke
    after they were leased. Their leases lapse.
    """
    held = await items.of_jobs(jobs.connection, await jobs.held(worker))
    doing = [job for job, item in held.items() if item in known]
    return frozenset(held[job] for job in await jobs.renew(worker, doing))


async def give_back(jobs: Jobs, postponed: Sequence[Postponed]) -> None:
    """Requeue items with their waits, unless another worker holds them by now."""
    unanswered = await items.locked(jobs.connection, [item.work.id for item in postponed])
    returned: set[int] = set()
    for worker in {item.work.worker for item in postponed}:
        waits = {
            unanswered[item.work.id]: min(item.seconds, LONGEST_WAIT)
            for item in postponed
            if item.work.worker == worker and item.work.id in unanswered
        }
        returned |= await jobs.put_back(worker, waits)
    counted = [
        item.work.id
        for item in postponed
        if item.counted and unanswered.get(item.work.id) in returned
    ]
    if counted:
        await items.count_attempts(jobs.connection, counted)


async def _lapsed(jobs: Jobs, worker: str, known: Collection[int]) -> set[int]:
    """Return the lapsed jobs that may be taken over; renew those that ``worker`` is still doing."""
    own, others = await jobs.lapsed(worker)
    if own:
        of_own = await items.of_jobs(jobs.connection, own)
        doing = [job for job, item in of_own.items() if item in known]
        own -= {*await jobs.renew(worker, doing)}
    return await items.lapse(jobs.connection, own | others)


async def _take_kind(
    jobs: Jobs, worker: str, backlog: Sequence[Backlog], limit: int, without: Collection[str]
) -> list[int]:
    """Lease at most ``limit`` jobs, taking callers in turn, and return the job ids."""
    busy = Counter({line.owner: line.leased - line.lapsed for line in backlog})
    owners = {line.owner: line.kind for line in backlog if line.may_be_taken(without)}
    taken: list[int] = []
    while owners and (left := limit - len(taken)) > 0:
        turns = fairness.in_turn({owner: [owner] * left for owner in owners}, busy, left)
        for owner, share in Counter(turns).items():
            more = await jobs.take(worker, owners[owner], owner, share)
            taken += more
            busy[owner] += len(more)
            if len(more) < share:
                del owners[owner]
    return taken


async def _items(
    jobs: Jobs, worker: str, backlog: Sequence[Backlog], taken: Sequence[int], lapsed: set[int]
) -> list[Leased]:
    """Return the items of the jobs that were taken, with callers in turn."""
    if not taken:
        return []
    leased, over = await items.leased(jobs.connection, worker, taken, lapsed)
    # A late worker of an earlier release answered these items and left their jobs behind.
    await jobs.remove(over)
    of_owner: dict[str, list[Leased]] = {}
    for item in leased:
        of_owner.setdefault(item.owner, []).append(item)
    busy = {line.owner: line.leased - line.lapsed for line in backlog}
    return fairness.in_turn(of_owner, busy, len(leased))
