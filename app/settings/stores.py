"""The stores of counts and usage."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.settings.transport import postgres_is_safe, redis_is_safe
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
            description="Directory for the data that the service keeps on this machine. All "
            "workers of the machine share it; it is created when something is first kept."
        ),
    ] = Path("data")
    limits_store: Annotated[
        Literal["memory", "redis"],
        Field(
            description="Where limits are counted. `memory`: by each worker alone. `redis`: "
            "for all replicas together."
        ),
    ] = "memory"
    idempotency_store: Annotated[
        Literal["memory", "redis"],
        Field(
            description="Where answers for an `Idempotency-Key` are kept for ten minutes. "
            "`memory`: by each worker alone. `redis`: for all replicas together."
        ),
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
        Field(
            description="URL of Redis, required if a setting selects it: "
            "`redis://:password@host:6379/0`."
        ),
    ] = None
    postgres_url: Annotated[
        SecretStr | None,
        Field(
            description="URL of PostgreSQL, required if a setting selects it: "
            "`postgresql://user:password@host:5432/db`. Needs the extra `postgres`."
        ),
    ] = None

    allow_plain_stores: Annotated[
        bool,
        Field(
            description="Allow a Redis or PostgreSQL on another machine without TLS. Otherwise "
            "the address must be `rediss://…`, or have `?sslmode=verify-full`."
        ),
    ] = False

    @model_validator(mode="after")
    def _check_redis(self) -> Self:
        for name in self._stores("redis"):
            if self.redis_url is None:
                raise ValueError(f"redis_url: is missing, but {name} is redis")
        # The libraries' own errors quote a URL that they can't read, password included.
        url = self.redis_url.get_secret_value() if self.redis_url else None
        if url is not None and not _REDIS.fullmatch(url):
            raise ValueError(
                "redis_url: is not redis://:password@host:port/db; in a password / is written "
                "%2F, @ %40, # %23 and ? %3F"
            )
        if url and self._stores("redis") and not (self.allow_plain_stores or redis_is_safe(url)):
            raise ValueError(
                "redis_url: is on another machine and without TLS: write rediss://, or allow it "
                "by LLAMA_VISION_ALLOW_PLAIN_STORES=true"
            )
        return self

    @model_validator(mode="after")
    def _check_postgres(self) -> Self:
        stores = self._stores("postgres")
        if not stores:
            return self
        if self.postgres_url is None:
            raise ValueError(f"postgres_url: is missing, but {stores[0]} is postgres")
        url = self.postgres_url.get_secret_value()
        if not re.match("postgres(ql)?://", url):
            raise ValueError("postgres_url: does not begin with postgresql://")
        if not is_installed("asyncpg"):
            raise ValueError(f"{stores[0]}: needs asyncpg, which is not installed")
        if not (self.allow_plain_stores or postgres_is_safe(url)):
            raise ValueError(
                "postgres_url: is on another machine and without TLS: add ?sslmode=verify-full, or "
                "allow it by LLAMA_VISION_ALLOW_PLAIN_STORES=true"
            )
        return self

    def _stores(self, kind: str) -> list[str]:
        """Return the names of the settings, of any topic, that select the store ``kind``."""
        names = (name for name in type(self).model_fields if name.endswith("_store"))
        return [name for name in names if getattr(self, name, None) == kind]
