"""Log probabilities of an answer's tokens, made up from a hash and the answer's confidence.

A token of the answer is as likely as the answer is well founded; common words share the rest of
the probability, or the other choices where the caller gave choices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from app.emulator.model.vocabulary import Vocabulary
from app.emulator.wire.bodies.conversation import Alternative, TokenScore

_FORCED = 0.999
_COMMON = (" the", " a", ",", ".", " of", " is", "\n", " and", " in", " to", "The", ":", " no")


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """An answer before it becomes tokens, with its confidence."""

    text: str
    confidence: float = 0.9
    """0 to 1: the probability of a token that carries meaning."""
    choices: tuple[str, ...] = ()
    """Alternatives to the answer, the text among them."""


def scored(
    spoken: SpokenAnswer, pieces: Sequence[str], ids: Sequence[int], top: int, words: Vocabulary
) -> tuple[TokenScore, ...]:
    """Return a score for each piece, with its ``top`` likeliest tokens."""
    rivals, fork = _rivals(spoken, words)
    scores = []
    for index, (piece, token_id) in enumerate(zip(pieces, ids, strict=True)):
        likelihood = _likelihood(spoken, piece, index, fork)
        others = _sharing(piece, rivals if index == fork else [], 1 - likelihood, words)
        said = Alternative(piece, token_id, _log(likelihood))
        ranked = sorted([said, *others], key=lambda entry: -entry.logprob)
        scores.append(TokenScore(piece, token_id, said.logprob, tuple(ranked[:top])))
    return tuple(scores)


def _rivals(spoken: SpokenAnswer, words: Vocabulary) -> tuple[list[str], int]:
    """Return the tokens of the other choices at the place where they part, and that place."""
    said = words.pieces(spoken.text)
    others = [words.pieces(choice) for choice in spoken.choices if choice != spoken.text]
    if not others:
        return [], -1
    for place, piece in enumerate(said):
        apart = {other[place] for other in others if place < len(other)} - {piece, ""}
        if apart:
            return sorted(apart), place
    return [], -1


def _likelihood(spoken: SpokenAnswer, piece: str, index: int, fork: int) -> float:
    """Return a token's probability."""
    if spoken.choices:
        return spoken.confidence if index == fork else _FORCED
    if not any(character.isalnum() for character in piece):
        return _FORCED
    digest = sha256(f"{index}|{piece}".encode()).digest()
    doubt = (1 - spoken.confidence) * (0.5 + digest[0] / 255)
    return min(max(1 - doubt, 0.4), _FORCED)


def _sharing(piece: str, rivals: list[str], rest: float, words: Vocabulary) -> list[Alternative]:
    """Return the alternatives that share the remaining probability."""
    if rivals:
        shares = dict.fromkeys(rivals, rest / len(rivals))
    else:
        common = [word for word in _COMMON if word != piece]
        shares = {word: rest * 0.5 ** (rank + 1) for rank, word in enumerate(common)}
    return [Alternative(token, words.ids(token)[0], _log(share)) for token, share in shares.items()]


def _log(probability: float) -> float:
    return round(math.log(max(probability, 1e-9)), 6)
