"""The answer cache: whose answers are kept, where, and how long."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.cache import CacheMode, CacheScope
from app.settings.types import MIB, Bytes, Seconds


class CacheSettings(BaseModel):
    """The answer cache: whose answers are kept, where, and how long."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    cache: Annotated[
        CacheMode,
        Field(
            description="Whose answers are cached: `off` (nobody's, whatever keys and requests "
            "say), `asked` (those of keys that have it on, and of requests that say "
            "`Cache-Control: max-age`), `on` (everyone's). See docs/cache.md."
        ),
    ] = CacheMode.OFF
    cache_scope: Annotated[
        CacheScope,
        Field(
            description="Who may get a cached answer: the `caller` whose answer it was, or, "
            "`shared`, every caller who asks the same."
        ),
    ] = CacheScope.CALLER
    cache_sampled: Annotated[
        bool,
        Field(
            description="Cache sampled answers (`temperature` above 0) also if the request does "
            "not ask for it by `max-age`."
        ),
    ] = False
    cache_seconds: Annotated[Seconds, Field(description="Seconds that an answer is kept.")] = 3600
    cache_store: Annotated[
        Literal["memory", "sqlite", "redis"],
        Field(
            description="Where answers are kept. `memory`: each worker alone. `sqlite`: a file in "
            "`data_directory`, for the workers of one machine. `redis`: for all replicas."
        ),
    ] = "memory"
    cache_bytes: Annotated[
        Bytes,
        Field(
            description="Bytes of cached answers, in the memory of each worker or in the file; "
            "the least recently used go first. Redis has a limit of its own."
        ),
    ] = 64 * MIB
    cache_timeout: Annotated[
        Seconds,
        Field(description="Seconds that the store may take before the model is asked instead."),
    ] = 0.25
