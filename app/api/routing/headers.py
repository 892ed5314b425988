"""Request headers that decide how a request is answered, read once when it arrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.cache import NO_WISH, CacheWish
from app.domain.guardrail import GuardrailWish

Headers = Mapping[bytes, bytes]
"""A request's headers by lower-case name, as `by_name` returns them."""
_LISTS = (b"cache-control", b"prefer", b"x-guardrail-policy")
"""Headers that are lists, which may come in several lines (RFC 9110, section 5.3)."""


class TimeoutHeaders(BaseModel):
    """Headers of every operation that waits for something."""

    model_config = ConfigDict(frozen=True)

    timeout: Annotated[
        float | None,
        Field(
            alias="X-Request-Timeout",
            gt=0,
            description=(
                "Seconds within which the whole answer must be there, instead of the "
                "service's own deadline: fewer, or more to wait for a model that is "
                "loading, up to the limit that the service is configured with."
            ),
        ),
    ] = None


class RequestHeaders(TimeoutHeaders):
    """Headers of every operation that asks the model."""

    second_bill: Annotated[
        bool,
        Field(
            alias="X-Allow-Second-Bill",
            description=(
                "Retry even if the first call may have been billed: after a read "
                "timeout or a broken connection."
            ),
        ),
    ] = False
    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="Requests with the same key and body share one call of the model and its "
            "answer, a task's with all its calls, for ten minutes. A stream then carries the whole "
            "answer in one piece. The same key with another body is refused.",
        ),
    ] = None
    prefer: Annotated[
        str | None,
        Field(
            alias="Prefer",
            max_length=200,
            description="`respond-async`: answer 202 with a job at once, whose answer is fetched "
            "from `/v1/jobs/{id}`. `respond-async, wait=10`: the same, unless the answer is there "
            "within ten seconds. `receipt`: the paid answer carries a signed receipt, where the "
            "operator configured a key.",
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            alias="X-Webhook-Url",
            min_length=1,
            max_length=2000,
            description=(
                "With `respond-async`, or for a batch: the URL that gets a signed "
                "event when the work has ended. The operator must allow its host."
            ),
        ),
    ] = None
    guardrail: Annotated[
        str | None,
        Field(
            alias="X-Guardrail-Policy",
            pattern=r"^\s*\w+\s*=\s*\w+(\s*,\s*\w+\s*=\s*\w+)*\s*$",
            max_length=255,
            description="A stricter guardrail policy than the service's own: "
            "`input=enforce, output=enforce, image=enforce, stream=buffer, on_failure=refuse`, or "
            "some of these. A laxer one is refused.",
        ),
    ] = None

    cache_control: Annotated[
        str | None,
        Field(
            alias="Cache-Control",
            max_length=500,
            description="Where the answer cache is on: `max-age=600` takes an answer that is at "
            "most so many seconds old and has this one kept, `no-cache` asks the model in any "
            "case, `no-store` keeps nothing.",
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


@lru_cache(maxsize=256)  # few are ever said
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
    """The headers that were read, and their faults."""

    values: RequestHeaders
    """A header with a fault has its default here."""
    faults: tuple[dict[str, Any], ...] = ()
    """Errors, in pydantic's form."""


_NAMES = {
    alias.lower().encode(): alias
    for field in RequestHeaders.model_fields.values()
    if (alias := field.alias) is not None
}
_OF_THE_EXCHANGE = {"X-Request-Timeout", "Prefer", "X-Webhook-Url"}
DECIDING = frozenset(
    name.decode() for name, alias in _NAMES.items() if alias not in _OF_THE_EXCHANGE
)
"""Headers that decide the answer, whenever it is made; in lower case."""
_NONE = ReadHeaders(RequestHeaders())


def by_name(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name. List headers are joined; of other repeated ones, the first counts."""
    headers = dict(reversed(lines))
    if len(headers) < len(lines):
        for name in _LISTS:
            if name in headers:
                headers[name] = b", ".join(value for key, value in lines if key == name)
    return headers


def read(headers: Headers) -> ReadHeaders:
    """Return the `RequestHeaders` among ``headers``."""
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
    """Return the faults of those headers that an operation declares."""
    return [fault for fault in read.faults if fault["loc"][1] in declared]
