"""This service's side of the queue: items with their payloads, states, results and usage."""

from collections.abc import Collection, Sequence

from asyncpg import Connection, Record

from app.adapters.queue.postgres.names import TABLE as JOBS
from app.domain.work import (
    Finished,
    GroupCounts,
    Leased,
    NewWork,
    WorkGroup,
    WorkKind,
    WorkResult,
    WorkState,
    WorkUsage,
)

OPEN = "state IN ('open', 'waiting', 'leased')"
"""SQL condition for items without a final result; earlier releases wrote the last two states."""
_CHUNK = 5_000
_OF_GROUP = "seq = (SELECT seq FROM llama_vision_work_group WHERE id = $1)"
_NOW = "extract(epoch FROM now())::float8"
# One statement, and so one transaction and one round trip. Rows are locked in one order everywhere,
# which rules out deadlocks. PgQueuer would also log each job, for dashboards of its own.
_FINISH = f"""
WITH open AS MATERIALIZED (
    SELECT id, job FROM llama_vision_work WHERE id = ANY($1::bigint[]) AND {OPEN}
    ORDER BY job FOR UPDATE
), kept AS (
    UPDATE llama_vision_work w SET state = r.state, result = r.result, job = NULL,
        prompt_tokens = r.prompt_tokens, generation_tokens = r.generation_tokens,
        cost_usd = r.cost_usd, unpriced = r.unpriced
    FROM open JOIN unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[],
        $6::float8[], $7::bigint[]) AS r
        (id, state, result, prompt_tokens, generation_tokens, cost_usd, unpriced) USING (id)
    WHERE w.id = open.id
), held AS MATERIALIZED (
    SELECT id FROM {JOBS} WHERE id IN (SELECT job FROM open) ORDER BY id FOR UPDATE
), removed AS (
    DELETE FROM {JOBS} j USING held WHERE j.id = held.id
)
SELECT count(*) FROM open
"""


async def new(connection: Connection, group: WorkGroup, work: Sequence[NewWork]) -> list[NewWork]:
    """Return the part of ``work`` that is not stored yet, by position; the group must be locked."""
    there = await connection.fetch(
        f"SELECT position FROM llama_vision_work WHERE {_OF_GROUP} AND position = ANY($2)",
        group.id,
        [item.position for item in work],
    )
    known = {row["position"] for row in there}
    missing = {item.position: item for item in reversed(work) if item.position not in known}
    return [missing[position] for position in sorted(missing)]


async def add(
    connection: Connection,
    group: WorkGroup,
    seq: int,
    work: Sequence[NewWork],
    jobs: Sequence[int | None],
) -> None:
    """Insert new items, each with the id of its job."""
    await connection.execute(
        "INSERT INTO llama_vision_work "
        "(kind, owner, seq, position, payload, state, created_at, job) "
        f"SELECT $1, $2, $3, new.position, new.payload, 'open', {_NOW}, new.job "
        "FROM unnest($4::bigint[], $5::bytea[], $6::bigint[]) AS new (position, payload, job)",
        group.kind,
        group.owner,
        seq,
        [item.position for item in work],
        [item.payload for item in work],
        jobs,
    )


async def leased(
    connection: Connection, worker: str, jobs: Collection[int], lapsed: Collection[int]
) -> tuple[list[Leased], set[int]]:
    """Return the open items of the jobs that ``worker`` took, in order, and the jobs without one.

    For the jobs in ``lapsed`` the lease that ran out counts as an attempt.
    """
    if lapsed:
        await connection.execute(
            "UPDATE llama_vision_work SET attempts = attempts + 1 WHERE job = ANY($1)",
            [job for job in lapsed if job in jobs],
        )
    rows = await connection.fetch(
        "SELECT w.id, w.kind, w.owner, g.id AS group, w.position, w.payload, w.attempts, "
        "w.created_at, w.job FROM llama_vision_work w JOIN llama_vision_work_group g USING (seq) "
        f"WHERE w.job = ANY($1) AND w.{OPEN} ORDER BY w.seq, w.position",
        list(jobs),
    )
    return [_as_leased(row, worker) for row in rows], set(jobs) - {row["job"] for row in rows}


async def lapse(connection: Connection, jobs: Collection[int]) -> set[int]:
    """Lock the items of ``jobs`` and return the jobs whose items could be locked."""
    # An item that its late worker is finishing at this moment is left to that worker.
    rows = await connection.fetch(
        "SELECT job FROM llama_vision_work WHERE job = ANY($1) FOR UPDATE SKIP LOCKED", list(jobs)
    )
    return {row["job"] for row in rows}


async def of_jobs(connection: Connection, jobs: Collection[int]) -> dict[int, int]:
    """Map each of ``jobs`` to the id of its item."""
    rows = await connection.fetch(
        "SELECT id, job FROM llama_vision_work WHERE job = ANY($1)", list(jobs)
    )
    return {row["job"]: row["id"] for row in rows}


async def locked(connection: Connection, items: Collection[int]) -> dict[int, int]:
    """Lock the open ones of ``items`` and map each to its job."""
    # Rows are locked in one order everywhere, which rules out deadlocks.
    rows = await connection.fetch(
        f"SELECT id, job FROM llama_vision_work WHERE id = ANY($1) AND {OPEN} "
        "ORDER BY job FOR UPDATE",
        list(items),
    )
    return {row["id"]: row["job"] for row in rows}


async def locked_of_group(
    connection: Connection, owner: str, group: str, after: int
) -> dict[int, int]:
    """Lock the next open items of a group after the job ``after``, as `locked` does."""
    rows = await connection.fetch(
        f"SELECT id, job FROM llama_vision_work WHERE {_OF_GROUP} AND owner = $2 AND {OPEN} "
        "AND job > $3 ORDER BY job LIMIT $4 FOR UPDATE",
        group,
        owner,
        after,
        _CHUNK,
    )
    return {row["id"]: row["job"] for row in rows}


async def finish(connection: Connection, finished: Sequence[Finished]) -> int:
    """Store the first result of each open item, remove its job, and return how many were stored."""
    first = {item.work.id: item for item in reversed(finished)}.values()
    return int(
        await connection.fetchval(
            _FINISH,
            [item.work.id for item in first],
            [WorkState.SUCCEEDED if item.succeeded else WorkState.FAILED for item in first],
            [item.result for item in first],
            [item.usage.prompt_tokens for item in first],
            [item.usage.generation_tokens for item in first],
            [float(item.usage.cost_usd) for item in first],
            [item.usage.unpriced for item in first],
        )
    )


async def cancel(connection: Connection, items: Collection[int]) -> None:
    """Mark items as cancelled."""
    await connection.execute(
        "UPDATE llama_vision_work SET state = 'cancelled', job = NULL WHERE id = ANY($1)",
        list(items),
    )


async def count_attempts(connection: Connection, items: Collection[int]) -> None:
    """Add one attempt to each of ``items``."""
    await connection.execute(
        "UPDATE llama_vision_work SET attempts = attempts + 1 WHERE id = ANY($1)", list(items)
    )


async def counts(connection: Connection, group: str) -> GroupCounts:
    """Return the number of items of a group in each state, and their total usage."""
    rows = await connection.fetch(
        "SELECT state, count(*) AS items, coalesce(sum(prompt_tokens), 0)::bigint AS p, "
        "coalesce(sum(generation_tokens), 0)::bigint AS g, "
        "coalesce(sum(cost_usd), 0)::float8 AS c, coalesce(sum(unpriced), 0)::bigint AS u "
        f"FROM llama_vision_work WHERE {_OF_GROUP} GROUP BY state",
        group,
    )
    leased = await connection.fetchval(
        f"SELECT count(*) FROM {JOBS} j JOIN llama_vision_work w ON w.job = j.id "
        f"WHERE j.status = 'picked' AND w.{_OF_GROUP}",
        group,
    )
    states: dict[WorkState, int] = {}
    for row in rows:
        state = _state(row["state"], None)
        states[state] = states.get(state, 0) + row["items"]
    if leased:
        states[WorkState.WAITING] -= leased
        states[WorkState.LEASED] = leased
    usage = WorkUsage(
        sum(row["p"] for row in rows),
        sum(row["g"] for row in rows),
        sum(row["c"] for row in rows),
        sum(row["u"] for row in rows),
    )
    return GroupCounts({state: items for state, items in states.items() if items}, usage)


async def has_open(connection: Connection, group: str) -> bool:
    """Return whether the group has items without a final result."""
    return bool(
        await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM llama_vision_work WHERE {_OF_GROUP} AND {OPEN})", group
        )
    )


async def results(
    connection: Connection, owner: str, group: str, after: int, limit: int
) -> tuple[WorkResult, ...]:
    """Return at most ``limit`` items by position, starting after the position ``after``."""
    # Until a new group is in the statistics, the planner would sort the whole rest for each page.
    await connection.execute("SET LOCAL enable_bitmapscan = off")
    rows = await connection.fetch(
        "SELECT w.position, w.state, j.status, w.payload, w.result FROM llama_vision_work w "
        f"LEFT JOIN {JOBS} j ON j.id = w.job WHERE w.{_OF_GROUP} "
        "AND w.owner = $2 AND w.position > $3 ORDER BY w.position LIMIT $4",
        group,
        owner,
        after,
        limit,
    )
    return tuple(
        WorkResult(
            row["position"], _state(row["state"], row["status"]), row["payload"], row["result"]
        )
        for row in rows
    )


async def forget(connection: Connection, groups: Collection[str]) -> set[int]:
    """Delete the items of groups and return the ids of their jobs."""
    rows = await connection.fetch(
        "WITH gone AS (DELETE FROM llama_vision_work WHERE seq IN "
        "(SELECT seq FROM llama_vision_work_group WHERE id = ANY($1)) RETURNING job) "
        "SELECT job FROM gone WHERE job IS NOT NULL",
        list(groups),
    )
    return {row["job"] for row in rows}


def _as_leased(row: Record, worker: str) -> Leased:
    return Leased(
        id=row["id"],
        kind=WorkKind(row["kind"]),
        owner=row["owner"],
        group=row["group"],
        position=row["position"],
        payload=row["payload"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        worker=worker,
    )


def _state(kept: str, job: str | None) -> WorkState:
    if kept in ("open", "waiting", "leased"):
        return WorkState.LEASED if job == "picked" else WorkState.WAITING
    return WorkState(kept)
