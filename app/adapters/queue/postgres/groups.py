"""Groups of items (batches, jobs and webhooks) with the facts that each kind stores."""

from collections.abc import Sequence
from typing import Any

from asyncpg import Connection, Record

from app.domain.work import WorkGroup, WorkKind

_COLUMNS = "id, owner, kind, status, created_at, body, active, expires_at, version"


async def add(connection: Connection, group: WorkGroup) -> int:
    """Insert a new group and return its sequence number."""
    return int(
        await connection.fetchval(
            f"INSERT INTO llama_vision_work_group ({_COLUMNS}) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq",
            group.id,
            group.owner,
            group.kind,
            group.status,
            group.created_at,
            group.body,
            group.active,
            group.expires_at,
            group.version,
        )
    )


async def locked(connection: Connection, group: str) -> int | None:
    """Lock a group against other writers and return its sequence number; None if it is missing."""
    seq: int | None = await connection.fetchval(
        "SELECT seq FROM llama_vision_work_group WHERE id = $1 FOR UPDATE", group
    )
    return seq


async def one(connection: Connection, owner: str, group: str) -> WorkGroup | None:
    """Return the owner's group, or None if the owner has no such group."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM llama_vision_work_group WHERE id = $1 AND owner = $2",
        group,
        owner,
    )
    return None if row is None else _as_group(row)


async def listed(
    connection: Connection, owner: str, kind: WorkKind, limit: int, after: str | None
) -> tuple[WorkGroup, ...]:
    """Return at most ``limit`` of the owner's groups, newest first, starting after ``after``."""
    return _as_groups(
        await connection.fetch(
            f"SELECT {_COLUMNS} FROM llama_vision_work_group "
            "WHERE owner = $1 AND kind = $2 AND ($3::text IS NULL OR seq < coalesce("
            "(SELECT seq FROM llama_vision_work_group WHERE id = $3 AND owner = $1), 0)) "
            "ORDER BY seq DESC LIMIT $4",
            owner,
            kind,
            after,
            limit,
        )
    )


async def active(connection: Connection, kind: WorkKind) -> tuple[WorkGroup, ...]:
    """Return the groups with work left to do, oldest first."""
    return _as_groups(
        await connection.fetch(
            f"SELECT {_COLUMNS} FROM llama_vision_work_group "
            "WHERE kind = $1 AND active ORDER BY seq",
            kind,
        )
    )


async def change(connection: Connection, group: WorkGroup) -> bool:
    """Update a group, unless its version is stale; return whether it was updated."""
    changed = await connection.fetchval(
        "UPDATE llama_vision_work_group SET status = $1, body = $2, active = $3, "
        "expires_at = $4, version = version + 1 "
        "WHERE id = $5 AND owner = $6 AND version = $7 RETURNING TRUE",
        group.status,
        group.body,
        group.active,
        group.expires_at,
        group.id,
        group.owner,
        group.version,
    )
    return bool(changed)


async def owned(connection: Connection, owner: str, group: str) -> list[str]:
    """Return a list with the id of the owner's group, or an empty one if it does not exist."""
    rows = await connection.fetch(
        "SELECT id FROM llama_vision_work_group WHERE id = $1 AND owner = $2 FOR UPDATE",
        group,
        owner,
    )
    return [row["id"] for row in rows]


async def expired(connection: Connection) -> list[str]:
    """Return the ids of the groups that have expired."""
    rows = await connection.fetch(
        "SELECT id FROM llama_vision_work_group WHERE NOT active "
        "AND expires_at <= extract(epoch FROM now()) ORDER BY seq FOR UPDATE SKIP LOCKED"
    )
    return [row["id"] for row in rows]


async def forget(connection: Connection, groups: Sequence[str]) -> None:
    """Delete groups whose items have been deleted already."""
    await connection.execute("DELETE FROM llama_vision_work_group WHERE id = ANY($1)", list(groups))


def _as_groups(rows: Sequence[Record]) -> tuple[WorkGroup, ...]:
    return tuple(map(_as_group, rows))


def _as_group(row: Record) -> WorkGroup:
    values: dict[str, Any] = dict(row)
    return WorkGroup(**{**values, "kind": WorkKind(values["kind"])})
