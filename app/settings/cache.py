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
            description="Whose answers are cached: `off` (nobody's, regardless of keys and "
            "requests), `asked` (those of keys with the cache turned on, and of requests with "
            "`Cache-Control: max-age`), `on` (everyone's). See docs/cache.md."
        ),
    ] = CacheMode.OFF
    cache_scope: Annotated[
        CacheScope,
        Field(
            description="Who may get a cached answer. `caller`: only the caller whose request "
            "it answered. `shared`: every caller who sends the same request."
        ),
    ] = CacheScope.CALLER
    cache_sampled: Annotated[
        bool,
        Field(
            description="Cache sampled answers (`temperature` above 0) even if the request has "
            "no `max-age`."
        ),
    ] = False
    cache_seconds: Annotated[Seconds, Field(description="Seconds for which an answer is kept.")] = (
        3600
    )
    cache_store: Annotated[
        Literal["memory", "sqlite", "redis"],
        Field(
            description="Where answers are kept. `memory`: in each worker separately. `sqlite`: "
            "in a file in `data_directory`, for the workers of one machine. `redis`: for all "
            "replicas."
        ),
    ] = "memory"
    cache_bytes: Annotated[
        Bytes,
        Field(
            description="Maximum bytes of cached answers, in the memory of each worker or in "
            "the file; the least recently used are dropped first. Redis has a limit of its own."
        ),
    ] = 64 * MIB
    cache_timeout: Annotated[
        Seconds,
        Field(description="Seconds to wait for the store before the model is called instead."),
    ] = 0.25
