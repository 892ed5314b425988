"""Names of faults, with their spelling and their schedule.

A fault is spelled ``name[-after-N][-every-N | -first-N | -for-Ns | -until-T]`` in characters that
AWS allows in a model id; ``loading-N`` is short for ``not-ready-first-N``.
"""

import re
from dataclasses import dataclass

from app.emulator.wire import errors
from app.emulator.wire.errors import ErrorKind

EXCEPTIONS = {
    "throttle": errors.THROTTLING,
    "not-ready": errors.NOT_READY,
    "loading": errors.NOT_READY,
    "unavailable": errors.UNAVAILABLE,
    "internal": errors.INTERNAL,
    "timeout": errors.MODEL_TIMEOUT,
    "model-error": errors.MODEL_ERROR,
    "stream-error": errors.MODEL_STREAM_ERROR,
    "quota": errors.QUOTA,
    "validation": errors.VALIDATION,
    "denied": errors.ACCESS_DENIED,
    "not-found": errors.NOT_FOUND,
    "retired": errors.RETIRED,
    "legacy": errors.LEGACY,
    "bad-key": errors.UNKNOWN_KEY,
    "conflict": errors.KNOWLEDGE_CONFLICT,
    "dependency-failed": errors.DEPENDENCY_FAILED,
    "bad-gateway-exception": errors.BAD_GATEWAY,
}


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """A reply of a gateway before Bedrock."""

    status: int
    content_type: str
    body: str
    retry_after: int | None = None
    """Seconds."""


GATEWAY_REPLIES = {
    "overloaded": GatewayReply(
        529, "application/json", '{"type":"overloaded_error","message":"Overloaded"}', 1
    ),
    "malformed": GatewayReply(200, "application/json", '{"usage":'),
    "bad-gateway": GatewayReply(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
    "gateway-timeout": GatewayReply(504, "text/html", "<html><h1>504 Gateway Time-out</h1></html>"),
}
BREAKS = ("cut", "drop", "stall", "bad-crc")
FRAME = "frame-"
PACES = {"pace-bedrock": (500, 15)}


@dataclass(frozen=True, slots=True)
class Break:
    """An interruption of a call while it is answered."""

    how: str
    """One of `BREAKS`, or ``frame`` for an exception frame."""
    after: int | None = None
    """The pieces of text sent before the break; None for the fault's own default."""
    kind: ErrorKind | None = None
    """The type of an exception frame."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Delays of a call's answer."""

    first_ms: int = 0
    """Milliseconds before the first token."""
    token_ms: int = 0
    """Milliseconds before every later token."""
    drip_ms: int = 0
    """Milliseconds between one handful of a frame's bytes and the next."""


Effect = ErrorKind | GatewayReply | Break | Delay


@dataclass(frozen=True, slots=True)
class Timing:
    """The calls that a fault affects: by default all."""

    every: int = 1
    first: int | None = None
    seconds: float | None = None
    """Seconds from the fault's first call."""
    until: float | None = None
    """Seconds since 1970."""

    def due(self, call: int, age: float, now: float) -> bool:
        """Whether it affects the ``call``-th call (from 1), ``age`` seconds after the first."""
        return (
            call % self.every == 0
            and (self.first is None or call <= self.first)
            and (self.seconds is None or age < self.seconds)
            and (self.until is None or now < self.until)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, parsed."""

    spelled: str
    effect: Effect
    timing: Timing


_SPELLING = re.compile(
    r"(?P<name>[a-z][a-z-]*?)(?:-(?P<ms>\d+)ms)?(?:-after-(?P<after>\d+))?"
    r"(?:-every-(?P<every>[1-9]\d*)|(?:-first)?-(?P<first>\d+)"
    r"|-for-(?P<span>\d+)(?P<unit>ms|s)|-until-(?P<until>\d+))?"
)
_DELAYS = {"first-token": "first_ms", "token": "token_ms", "drip": "drip_ms"}


def parsed(spelled: str) -> Fault:
    """Return the fault of a spelling.

    Raises `ValueError` for one that does not exist.
    """
    match = _SPELLING.fullmatch(spelled)
    effect = _effect(match) if match else None
    if match is None or effect is None:
        raise ValueError(f"there is no fault {spelled!r}")
    return Fault(spelled, effect, _timing(match))


def _effect(match: re.Match[str]) -> Effect | None:
    name, after = match["name"], match["after"]
    if match["ms"] is not None:
        return Delay(**{_DELAYS[name]: int(match["ms"])}) if name in _DELAYS else None
    if name in PACES:
        return Delay(*PACES[name])
    pieces = None if after is None else int(after)
    if name in BREAKS:
        return Break(name, pieces)
    if name.startswith(FRAME) and name.removeprefix(FRAME) in EXCEPTIONS:
        return Break("frame", pieces or 0, EXCEPTIONS[name.removeprefix(FRAME)])
    return None if after else EXCEPTIONS.get(name) or GATEWAY_REPLIES.get(name)


def _timing(match: re.Match[str]) -> Timing:
    span = match["span"] and int(match["span"]) / (1000 if match["unit"] == "ms" else 1)
    return Timing(
        every=int(match["every"] or 1),
        first=int(match["first"]) if match["first"] else None,
        seconds=span or None,
        until=float(match["until"]) if match["until"] else None,
    )
