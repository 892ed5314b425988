"""Kept answers as bytes, and back. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson

from app.domain.cache import Replay
from app.domain.cost import DIGITS, Cost
from app.domain.generation import Completion, Delta, Finish, StopReason, StreamParts, Target
from app.domain.guardrail import Action, GuardrailReport
from app.domain.model import Dialect
from app.domain.output import TokenChance, TokenLogprob
from app.domain.usage import Usage

MOST = 2**20
"""Maximum bytes of an entry, as a cipher encrypts no more at once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer with the pieces that it was streamed in."""

    completion: Completion
    pieces: tuple[tuple[str, int], ...]
    """The text of each piece, and the number of its log probabilities."""
    made: float
    """The time at which the model generated it, in seconds since 1970."""

    def replayed(self, now: float) -> Completion:
        """Return the answer for a repetition: true counts, no cost, and the cost saved."""
        usage, report = self.completion.usage, self.completion.guardrail
        saved = None if usage.cost is None else round(usage.cost.total, DIGITS)
        return replace(
            self.completion,
            usage=replace(usage, cost=Cost(0, 0, saved=saved)),
            latency_ms=0,
            guardrail=report and replace(report, units={}, latency_ms=0, cost_usd=0),
            replay=Replay(round(max(0.0, now - self.made), 3)),
        )

    def parts(self, now: float) -> list[StreamParts]:
        """Return the answer as it was streamed."""
        again = self.replayed(now)
        scores = iter(again.logprobs or ())
        parts: list[StreamParts] = [
            (Delta(text, Usage(), tuple(islice(scores, count))),) for text, count in self.pieces
        ]
        finish = Finish(
            again.usage,
            again.stop_reason,
            again.stop_reason_raw,
            again.latency_ms,
            again.target,
            again.stop_sequence,
            again.guardrail,
            again.replay,
        )
        return [*parts, (finish,)]


def whole(completion: Completion, made: float) -> Kept:
    """Return an answer that came in one piece."""
    return Kept(completion, ((completion.text, len(completion.logprobs or ())),), made)


def storable(completion: Completion) -> bool:
    """Whether an answer is complete and entirely the model's own."""
    report = completion.guardrail
    clean = report is None or (report.action is Action.NONE and not report.unchecked)
    return completion.stop_reason is StopReason.STOP and bool(completion.text.strip()) and clean


def encoded(kept: Kept, key: str) -> bytes:
    """Return the entry that is kept under ``key``."""
    completion, usage = kept.completion, kept.completion.usage
    target, report = completion.target, completion.guardrail
    return orjson.dumps(
        {
            "key": key,
            "made": kept.made,
            "text": completion.text,
            "pieces": kept.pieces,
            "prompt": usage.prompt_token_count,
            "generation": usage.generation_token_count,
            "cost": None if usage.cost is None else usage.cost.total,
            "raw": completion.stop_reason_raw,
            "stop": completion.stop_sequence,
            "target": target and [target.region, target.model_id, target.dialect],
            "guardrail": None if report is None else report.id,
            "logprobs": completion.logprobs and [_token(token) for token in completion.logprobs],
        }
    )


def _token(token: TokenLogprob) -> list[Any]:
    others = [[chance.token, chance.logprob] for chance in token.alternatives]
    return [token.token, token.logprob, others, None if token.data is None else list(token.data)]


def decoded(data: bytes, key: str) -> Kept:
    """Return the answer stored under ``key``, or raise ValueError if ``data`` is not its entry."""
    try:
        record = orjson.loads(data)
        if record["key"] != key:
            raise ValueError("is another key's entry")
        kept = _kept(record)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"is not an entry: {type(error).__name__}") from error
    if "".join(text for text, _ in kept.pieces) != kept.completion.text:
        raise ValueError("has pieces of another text")
    return kept


def _kept(record: dict[str, Any]) -> Kept:
    cost, target, guardrail, logprobs = (
        record[name] for name in ("cost", "target", "guardrail", "logprobs")
    )
    completion = Completion(
        text=_of(str, record["text"]),
        usage=Usage(
            _count(record["prompt"]),
            _count(record["generation"]),
            None if cost is None else Cost(0, _number(cost)),
        ),
        stop_reason=StopReason.STOP,
        stop_reason_raw=None if record["raw"] is None else _of(str, record["raw"]),
        target=target and Target(str(target[0]), str(target[1]), Dialect(target[2])),
        stop_sequence=None if record["stop"] is None else _of(str, record["stop"]),
        logprobs=logprobs and tuple(_read_token(token) for token in logprobs),
        guardrail=None if guardrail is None else GuardrailReport(id=_of(str, guardrail)),
    )
    pieces = tuple((_of(str, text), _of(int, count)) for text, count in record["pieces"])
    return Kept(completion, pieces, _number(record["made"]))


def _read_token(token: Sequence[Any]) -> TokenLogprob:
    text, logprob, others, data = token
    chances = tuple(TokenChance(str(name), float(chance)) for name, chance in others)
    return TokenLogprob(str(text), float(logprob), chances, None if data is None else bytes(data))


def _of(kind: type, value: object) -> Any:  # noqa: ANN401 - of the kind
    if type(value) is not kind:
        raise ValueError(f"has no {kind.__name__} where one belongs")
    return value


def _count(value: object) -> int | None:
    return None if value is None else int(_of(int, value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("has no number where one belongs")
    return float(value)
