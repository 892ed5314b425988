"""The log probabilities of a chat completion. Pure."""

from collections.abc import Iterator

from app.adapters.bedrock.codecs import llama
from app.domain.output import TokenChance, TokenLogprob

_LEAST = -1e6


def logprobs(value: object) -> tuple[TokenLogprob, ...] | None:
    """Read a choice's ``logprobs``; None if there are none, or if one can't be read.

    A token that is left out would shift all the others against the text.
    """
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list):
        return None
    tokens = [_token(entry) for entry in content]
    whole = [token for token in tokens if token is not None]
    return tuple(whole) if len(whole) == len(tokens) else None


def _token(entry: object) -> TokenLogprob | None:
    chance = _chance(entry)
    if chance is None or not isinstance(entry, dict):
        return None
    listed = entry.get("top_logprobs")
    others = _chances(listed) if isinstance(listed, list) else ()
    ranked = sorted(others, key=lambda other: -other.logprob)
    return TokenLogprob(chance.token, chance.logprob, tuple(ranked), _bytes(entry.get("bytes")))


def _chances(listed: list[object]) -> Iterator[TokenChance]:
    return (chance for entry in listed if (chance := _chance(entry)) is not None)


def _chance(entry: object) -> TokenChance | None:
    if not isinstance(entry, dict):
        return None
    token, logprob = entry.get("token"), entry.get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool):
        return None
    # Rounding upstream may bring a sure token a hair above 0.
    if not isinstance(logprob, int | float) or not _LEAST <= logprob < 1:
        return None
    return TokenChance(llama.whole(token), min(float(logprob), 0.0))


def _bytes(value: object) -> bytes | None:
    try:
        return bytes(value) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None
