"""Names of PgQueuer's tables, types and triggers in this service's database."""

from dataclasses import dataclass
from typing import Self

from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

PREFIX = "llama_vision_"
TABLE = f"{PREFIX}pgqueuer"


@dataclass(frozen=True, slots=True)
class Builders:
    """PgQueuer's SQL builders with this service's names."""

    schema: QueryBuilderEnvironment
    queue: QueryQueueBuilder
    scheduler: QuerySchedulerBuilder

    @classmethod
    def make(cls) -> Self:
        """Return the builders, which are the same on all replicas."""
        # PgQueuer would read these names from the environment, where an unrelated variable such as
        # TRIGGER or CHANNEL would give one replica other names than the rest.
        names = DBSettings.model_construct(
            prefix=PREFIX,
            db_schema=None,
            channel=Channel(f"{PREFIX}ch_pgqueuer"),
            function=f"{PREFIX}fn_pgqueuer_changed",
            statistics_table=f"{TABLE}_statistics",
            queue_status_type=f"{TABLE}_status",
            queue_table=TABLE,
            queue_table_log=f"{TABLE}_log",
            trigger=f"{PREFIX}tg_pgqueuer_changed",
            schedules_table=f"{TABLE}_schedules",
            # Makes PgQueuer's log unlogged, which is fine since nothing reads it.
            durability=Durability.balanced,
            widen_id=True,
        )
        return cls(
            QueryBuilderEnvironment(names), QueryQueueBuilder(names), QuerySchedulerBuilder(names)
        )
