"""What PgQueuer's tables are called here."""

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
    """Statements of PgQueuer for this service's names."""

    schema: QueryBuilderEnvironment
    queue: QueryQueueBuilder
    scheduler: QuerySchedulerBuilder

    @classmethod
    def make(cls) -> Self:
        """Return those that all replicas use."""
        # Not read from the environment, as PgQueuer does: a variable named TRIGGER or CHANNEL
        # would part one replica from the others.
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
            # Of its log nothing is read here.
            durability=Durability.balanced,
            widen_id=True,
        )
        return cls(
            QueryBuilderEnvironment(names), QueryQueueBuilder(names), QuerySchedulerBuilder(names)
        )
