"""How likely the model held a value of its answer to be, from its tokens' log probabilities."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from json import JSONDecodeError, JSONDecoder
from typing import Any

from app.domain.generation import Completion
from app.domain.output import TokenLogprob

_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = JSONDecoder()

TOP = 20
"""Alternatives asked for at each token of a closed answer, the most that there are."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value of the answer whose probability is wanted."""

    key: str
    """The key at the top of the answer's object."""
    options: tuple[str, ...] = ()
    """The closed list of values in JSON, without quotes; empty where any is possible."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A value, and how likely it was to be written."""

    value: Any
    probability: float
    """The probability of all its tokens, each given what was written before; 0 to 1."""
    others: Mapping[str, float] = field(default_factory=dict)
    """The other options that are known, each with the probability of turning to it."""


def ranked(options: Sequence[str], chance: Chance | None) -> list[tuple[str, float | None]]:
    """Return ``options`` with their probabilities, likeliest first, then those without one."""
    known = {} if chance is None else {**chance.others, str(chance.value): chance.probability}
    pairs = [(option, known.get(option)) for option in options]
    return sorted(pairs, key=lambda pair: -(pair[1] or 0))


def of_truth(chance: Chance) -> float:
    """Return the probability of ``true``, as its share of both words where both are known."""
    share = chance.probability
    other = next(iter(chance.others.values()), None)
    if other is not None and share + other > 0:
        share = share / (share + other)
        return share if chance.value else 1 - share
    # The word that was not said is no likelier than the one that was.
    return share if chance.value else min(share, 1 - share)


@dataclass(frozen=True, slots=True)
class _Span:
    value: Any
    start: int
    end: int
    """Characters of the text."""


def chances(completion: Completion, measures: Sequence[Measure]) -> dict[str, Chance]:
    """Return the probabilities of the values of an answer that is one JSON object.

    Nothing where there are no log probabilities, where they are not the text's, or where the text
    is anything else than the object.
    """
    spans = _members(completion.text)
    return dict(_measured(completion, {m: spans[m.key] for m in measures if m.key in spans}))


def chosen(completion: Completion, measures: Sequence[Measure]) -> dict[str, Chance]:
    """Return the probability of an answer whose whole text is the one measured value."""
    text = completion.text.strip()
    start = completion.text.find(text)
    span = _Span(text, start, start + len(text))
    return dict(_measured(completion, dict.fromkeys(measures, span)))


def _measured(
    completion: Completion, spans: Mapping[Measure, _Span]
) -> Iterator[tuple[str, Chance]]:
    tokens = _Tokens.spelling(completion)
    if tokens is None:
        return
    for measure, span in spans.items():
        chance = tokens.chance(span, measure.options)
        if chance is not None:
            yield measure.key, chance


def _members(text: str) -> dict[str, _Span]:
    """Return where the values of the one object in ``text`` stand, texts without their quotes."""
    spans: dict[str, _Span] = {}
    place = _after(text, 0)
    if not text.startswith("{", place):
        return {}
    try:
        while text[place] != "}":
            key, place = _decoder.raw_decode(text, _after(text, place + 1))
            place = _after(text, place)
            if not isinstance(key, str) or text[place] != ":" or key in spans:
                return {}
            start = _after(text, place + 1)
            value, end = _decoder.raw_decode(text, start)
            quote = isinstance(value, str)
            spans[key] = _Span(value, start + quote, end - quote)
            place = _after(text, end)
            if text[place] not in ",}":
                return {}
    except (JSONDecodeError, IndexError, RecursionError):
        return {}
    return spans if _after(text, place + 1) == len(text) else {}


def _after(text: str, place: int) -> int:
    """Return the place of the next character that is no space."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


@dataclass(frozen=True, slots=True)
class _Tokens:
    """An answer's tokens and where each begins, in bytes of the text."""

    text: bytes
    tokens: tuple[TokenLogprob, ...]
    starts: tuple[int, ...]

    @classmethod
    def spelling(cls, completion: Completion) -> "_Tokens | None":
        """Return the tokens; None where there are none, or where they don't spell the text."""
        if not completion.logprobs:
            return None
        text = completion.text.encode("utf-8", "replace")
        pieces = [token.written for token in completion.logprobs]
        # The token that ends an answer may be told, and is no part of the text.
        if not b"".join(pieces).startswith(text):
            return None
        starts = accumulate((len(piece) for piece in pieces[:-1]), initial=0)
        return cls(text, completion.logprobs, tuple(starts))

    def chance(self, span: _Span, options: Sequence[str]) -> Chance | None:
        """Return the probability of what stands at ``span``; None where nothing does."""
        whole = self.text.decode("utf-8", "replace")
        start, end = (len(whole[:place].encode()) for place in (span.start, span.end))
        own = [
            index
            for index, (token, begins) in enumerate(zip(self.tokens, self.starts, strict=True))
            if begins < end and begins + len(token.written) > start
        ]
        if not own or start == end:
            return None
        probability = math.exp(sum(self.tokens[index].logprob for index in own))
        others = dict(self._others(own, start, end, options))
        return Chance(span.value, probability, others)

    def _others(
        self, own: Sequence[int], start: int, end: int, options: Sequence[str]
    ) -> Iterator[tuple[str, float]]:
        chosen_text, after = self.text[start:end], self.text[end:]
        # At each token, which options every alternative leads to: one alone tells its probability.
        texts = {option: option.encode() for option in options if option.encode() != chosen_text}
        for option, text in texts.items():
            fork = self._fork(own, start, text)
            if fork is None:
                continue
            place = self.starts[fork]
            rests = {
                other: (self.text[:start] + spelt + after)[place:]
                for other, spelt in texts.items()
                if (self.text[:start] + spelt)[:place] == self.text[:place]
            }
            turned = [
                alternative.logprob
                for alternative in self.tokens[fork].alternatives
                if alternative.token
                and [o for o, rest in rests.items() if rest.startswith(alternative.token.encode())]
                == [option]
            ]
            if turned:
                before = sum(self.tokens[index].logprob for index in own if index < fork)
                yield option, math.exp(before) * sum(map(math.exp, turned))

    def _fork(self, own: Sequence[int], start: int, text: bytes) -> int | None:
        """Return the token at which ``text`` would have parted from what was said."""
        for index in own:
            begins = self.starts[index]
            ends = begins + len(self.tokens[index].written)
            if (self.text[:start] + text)[begins:ends] != self.text[begins:ends]:
                return index
        return None
