"""The tables of the queue: PgQueuer's and this service's own."""

from dataclasses import dataclass, field
from datetime import timedelta

from asyncpg import Connection

from app.adapters.queue.postgres.jobs import Jobs
from app.adapters.queue.postgres.names import TABLE, Builders
from app.domain.work import LONGEST_WAIT, UNTAKEN

_CHUNK = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS llama_vision_work_group (
    seq BIGSERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL, body BYTEA NOT NULL, active BOOLEAN NOT NULL,
    expires_at DOUBLE PRECISION, version BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS llama_vision_group_of_owner
    ON llama_vision_work_group (owner, kind, seq);
CREATE INDEX IF NOT EXISTS llama_vision_group_active
    ON llama_vision_work_group (kind, seq) WHERE active;
CREATE TABLE IF NOT EXISTS llama_vision_work (
    id BIGSERIAL PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL,
    seq BIGINT NOT NULL REFERENCES llama_vision_work_group (seq) ON DELETE CASCADE,
    position BIGINT NOT NULL, payload BYTEA NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, result BYTEA, prompt_tokens BIGINT,
    generation_tokens BIGINT, cost_usd DOUBLE PRECISION, unpriced BIGINT,
    created_at DOUBLE PRECISION NOT NULL, job BIGINT,
    UNIQUE (seq, position)
);
ALTER TABLE llama_vision_work ADD COLUMN IF NOT EXISTS job BIGINT;
DROP INDEX IF EXISTS llama_vision_work_waiting, llama_vision_work_leased;
CREATE UNIQUE INDEX IF NOT EXISTS llama_vision_work_job
    ON llama_vision_work (job) WHERE job IS NOT NULL;
CREATE INDEX IF NOT EXISTS llama_vision_work_jobless
    ON llama_vision_work (seq, position) WHERE job IS NULL AND state IN ('waiting', 'leased');
CREATE INDEX IF NOT EXISTS llama_vision_work_state ON llama_vision_work (seq, state)
    INCLUDE (prompt_tokens, generation_tokens, cost_usd, unpriced);
"""


@dataclass(slots=True)
class Schema:
    """Creates missing tables and upgrades PgQueuer's to the installed release."""

    builders: Builders
    lease_seconds: float
    _current: bool = field(default=False, init=False)

    async def __call__(self, connection: Connection) -> None:
        """Create or upgrade the tables that ``connection`` needs."""
        jobs = Jobs.over(connection, self.builders, self.lease_seconds)
        # Checked first, because a database user without CREATE may still use existing tables.
        if not await connection.fetchval(f"SELECT to_regclass('{TABLE}') IS NOT NULL"):
            await self._create(connection, jobs)
        if not self._current:
            # Outside a transaction, since new enum values can't be used in the one that adds them.
            if (await jobs.queries.plan_upgrade()).statements:
                await jobs.queries.apply_upgrade()
            self._current = True

    async def _create(self, connection: Connection, jobs: Jobs) -> None:
        async with connection.transaction():
            # Replicas may start at the same time.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('llama_vision_work'))")
            if await jobs.queries.schema_is_installed():
                return
            await connection.execute(_TABLES)
            await jobs.queries.install(create_schema=False)
            await jobs.queries.optimize_autovacuum()
            while await take_over(connection, jobs):
                pass


async def take_over(connection: Connection, jobs: Jobs) -> int:
    """Add jobs for items that a release before PgQueuer left or still adds; return how many.

    Items leased by its workers become due after one lease period, unless they are answered by then.
    """
    await connection.execute(
        "UPDATE llama_vision_work SET state = 'open' "
        "WHERE job IS NULL AND state IN ('waiting', 'leased') AND kind = ANY($1)",
        list(UNTAKEN),
    )
    rows = await connection.fetch(
        "SELECT id, kind, owner, seq, state FROM llama_vision_work "
        "WHERE job IS NULL AND state IN ('waiting', 'leased') "
        "ORDER BY seq, position LIMIT $1 FOR UPDATE SKIP LOCKED",
        _CHUNK,
    )
    if rows:
        wait = min(jobs.lease, timedelta(seconds=LONGEST_WAIT))
        made = await jobs.put(
            [(row["kind"], row["owner"], row["seq"]) for row in rows],
            [wait if row["state"] == "leased" else timedelta() for row in rows],
        )
        # Earlier releases lease waiting items only, and may still answer those they leased.
        await connection.execute(
            "UPDATE llama_vision_work w SET job = j.job, "
            "state = CASE state WHEN 'waiting' THEN 'open' ELSE state END "
            "FROM unnest($1::bigint[], $2::bigint[]) AS j (id, job) WHERE w.id = j.id",
            [row["id"] for row in rows],
            made,
        )
    return len(rows)
