"""Request headers that influence the answer, read once when a request arrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.cache import NO_WISH, CacheWish
from app.domain.guardrail import GuardrailWish

Headers = Mapping[bytes, bytes]
"""A request's headers by lower-case name, as returned by `by_name`."""
_LISTS = (b"cache-control", b"prefer", b"x-guardrail-policy")
"""Headers that hold lists, which may be sent in several lines (RFC 9110, section 5.3)."""


class TimeoutHeaders(BaseModel):
    """Headers of every operation that may wait."""

    model_config = ConfigDict(frozen=True)

    timeout: Annotated[
        float | None,
        Field(
            alias="X-Request-Timeout",
            gt=0,
            description=(
                "Seconds within which the whole answer must arrive, instead of the service's "
                "own time limit: fewer, or more to wait for a model that is loading, up to the "
                "configured maximum."
            ),
        ),
    ] = None


class RequestHeaders(TimeoutHeaders):
    """Headers of every operation that calls the model."""

    second_bill: Annotated[
        bool,
        Field(
            alias="X-Allow-Second-Bill",
            description=(
                "Retry even if the first call may have been billed, as after a read timeout or "
                "a broken connection."
            ),
        ),
    ] = False
    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="For ten minutes, requests with the same key and body share one call of "
            "the model and its answer; requests for a task share all of its calls. A stream "
            "then carries the whole answer in one piece. The same key with another body is "
            "refused.",
        ),
    ] = None
    prefer: Annotated[
        str | None,
        Field(
            alias="Prefer",
            max_length=200,
            description="`respond-async`: the answer is 202 with a job at once, and is fetched "
            "later from `/v1/jobs/{id}`. `respond-async, wait=10`: the same, unless the answer "
            "is ready within ten seconds. `receipt`: a paid answer carries a signed receipt, "
            "if the operator has configured a key.",
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            alias="X-Webhook-Url",
            min_length=1,
            max_length=2000,
            description=(
                "With `respond-async`, or for a batch: the URL that receives a signed event "
                "when the work has ended. The operator must allow its host."
            ),
        ),
    ] = None
    guardrail: Annotated[
        str | None,
        Field(
            alias="X-Guardrail-Policy",
            pattern=r"^\s*\w+\s*=\s*\w+(\s*,\s*\w+\s*=\s*\w+)*\s*$",
            max_length=255,
            description="A stricter guardrail policy than the service's own: `input=enforce, "
            "output=enforce, image=enforce, stream=buffer, on_failure=refuse`, or some of "
            "these. A laxer policy is refused.",
        ),
    ] = None

    cache_control: Annotated[
        str | None,
        Field(
            alias="Cache-Control",
            max_length=500,
            description="If the answer cache is on: `max-age=600` accepts a cached answer that "
            "is at most 600 seconds old and caches a new one, `no-cache` always calls the "
            "model, `no-store` caches nothing.",
        ),
    ] = None

    def cache_wish(self) -> CacheWish:
        """Return the request's wishes for the answer cache; unknown directives are ignored."""
        return NO_WISH if self.cache_control is None else _cache_wish(self.cache_control)

    def guardrail_wish(self) -> GuardrailWish | None:
        """Return the request's wishes for the guardrail policy."""
        if self.guardrail is None:
            return None
        pairs = (pair.split("=") for pair in self.guardrail.split(","))
        return GuardrailWish({name.strip(): value.strip() for name, value in pairs})


@lru_cache(maxsize=256)  # few different values are ever sent
def _cache_wish(cache_control: str) -> CacheWish:
    pairs = (part.partition("=") for part in cache_control.lower().split(","))
    directives = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    age = directives.get("max-age", "")
    max_age = float(age) if age.isascii() and age.isdigit() else None
    return CacheWish(
        "no-cache" in directives or max_age == 0, "no-store" not in directives, max_age
    )


CallHeaders = Annotated[RequestHeaders, Header()]
DeadlineHeaders = Annotated[TimeoutHeaders, Header()]


@dataclass(frozen=True, slots=True)
class ReadHeaders:
    """The headers of a request, and their faults."""

    values: RequestHeaders
    """The headers' values; a faulty header has its default."""
    faults: tuple[dict[str, Any], ...] = ()
    """The faults in pydantic's form."""


_NAMES = {
    alias.lower().encode(): alias
    for field in RequestHeaders.model_fields.values()
    if (alias := field.alias) is not None
}
_OF_THE_EXCHANGE = {"X-Request-Timeout", "Prefer", "X-Webhook-Url"}
DECIDING = frozenset(
    name.decode() for name, alias in _NAMES.items() if alias not in _OF_THE_EXCHANGE
)
"""Lower-case names of the headers that still matter if the answer is made later."""
_NONE = ReadHeaders(RequestHeaders())


def by_name(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name. Repeated list headers are joined; of others the first counts."""
    headers = dict(reversed(lines))
    if len(headers) < len(lines):
        for name in _LISTS:
            if name in headers:
                headers[name] = b", ".join(value for key, value in lines if key == name)
    return headers


def read(headers: Headers) -> ReadHeaders:
    """Return the `RequestHeaders` in ``headers``, with the faults of invalid ones."""
    if _NAMES.keys().isdisjoint(headers):
        return _NONE
    values = {
        alias: headers[name].decode("latin-1") for name, alias in _NAMES.items() if name in headers
    }
    try:
        return ReadHeaders(RequestHeaders.model_validate(values))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        for fault in faults:
            values.pop(str(fault["loc"][0]), None)
        return ReadHeaders(
            RequestHeaders.model_validate(values),
            tuple({**fault, "loc": ("header", *fault["loc"])} for fault in faults),
        )


def faults(read: ReadHeaders, declared: frozenset[str]) -> list[dict[str, Any]]:
    """Return the faults of the headers in ``declared``."""
    return [fault for fault in read.faults if fault["loc"][1] in declared]
