"""The stores of counts and usage."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.settings.types import is_installed

_REDIS = re.compile(
    r"rediss?://([^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]]+):\d{1,5}(/\d*)?(\?[^#]*)?"
)


class StoreSettings(BaseModel):
    """The stores of counts and usage."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    data_directory: Annotated[
        Path,
        Field(
            description="The directory for what the service keeps on this machine. The workers of "
            "one machine share it; it is made when something is first kept."
        ),
    ] = Path("data")
    limits_store: Annotated[
        Literal["memory", "redis"],
        Field(description="`memory`: each worker counts alone. `redis`: all replicas together."),
    ] = "memory"
    usage_store: Annotated[
        Literal["sqlite", "redis", "postgres", "memory"],
        Field(
            description="Where `/v1/usage` is kept. `redis`, `postgres`: for several replicas "
            "together."
        ),
    ] = "sqlite"
    usage_file: Annotated[
        Path, Field(description="SQLite file for usage; the workers of one machine share it.")
    ] = Path("usage.sqlite3")
    redis_url: Annotated[
        SecretStr | None,
        Field(description="Redis, where a setting names it: `redis://:password@host:6379/0`."),
    ] = None
    postgres_url: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL, where a setting names it: "
            "`postgresql://user:password@host:5432/db`. Needs the extra `postgres`."
        ),
    ] = None

    @model_validator(mode="after")
    def _check_redis(self) -> Self:
        stores = {"usage_store": self.usage_store, "limits_store": self.limits_store}
        for name, store in stores.items():
            if store == "redis" and self.redis_url is None:
                raise ValueError(f"redis_url: is missing, but {name} is redis")
        # The libraries quote what they can't read, password and all.
        if self.redis_url and not _REDIS.fullmatch(self.redis_url.get_secret_value()):
            raise ValueError(
                "redis_url: is not redis://:password@host:port/db; in a password / is written "
                "%2F, @ %40, # %23 and ? %3F"
            )
        return self

    @model_validator(mode="after")
    def _check_postgres(self) -> Self:
        stores = {
            "usage_store": self.usage_store,
            "queue_store": getattr(self, "queue_store", None),
        }
        name = next((name for name, store in stores.items() if store == "postgres"), None)
        if name is None:
            return self
        if self.postgres_url is None:
            raise ValueError(f"postgres_url: is missing, but {name} is postgres")
        if not re.match("postgres(ql)?://", self.postgres_url.get_secret_value()):
            raise ValueError("postgres_url: does not begin with postgresql://")
        if not is_installed("asyncpg"):
            raise ValueError(f"{name}: needs asyncpg, which is not installed")
        return self
