"""Probabilities of an answer's values, computed from the tokens' log probabilities."""

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
"""Alternatives requested at each token of a closed answer, which is the upstream's maximum."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value of the answer whose probability is requested."""

    key: str
    """The value's key at the top level of the answer."""
    options: tuple[str, ...] = ()
    """All possible values as JSON without quotes; empty if any value is possible."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A value and its probability."""

    value: Any
    probability: float
    """The joint probability of the value's tokens, each given the text before it; 0 to 1."""
    others: Mapping[str, float] = field(default_factory=dict)
    """The probabilities of other options, as far as the alternatives reveal them."""


def ranked(options: Sequence[str], chance: Chance | None) -> list[tuple[str, float | None]]:
    """Return ``options`` with their probabilities, likeliest first, unknown ones last."""
    known = {} if chance is None else {**chance.others, str(chance.value): chance.probability}
    pairs = [(option, known.get(option)) for option in options]
    return sorted(pairs, key=lambda pair: -(pair[1] or 0))


def of_truth(chance: Chance) -> float:
    """Return the probability of ``true``, normalised over both words if both are known."""
    share = chance.probability
    other = next(iter(chance.others.values()), None)
    if other is not None and share + other > 0:
        share = share / (share + other)
        return share if chance.value else 1 - share
    # The word that was not written is no likelier than the one that was.
    return share if chance.value else min(share, 1 - share)


@dataclass(frozen=True, slots=True)
class _Span:
    value: Any
    start: int
    end: int
    """Offset after the last character of the value in the text."""


def chances(completion: Completion, measures: Sequence[Measure]) -> dict[str, Chance]:
    """Return the probabilities of values in an answer that is one JSON object, by key.

    The result is empty if there are no log probabilities, if they do not match the text, or if the
    text is not just the object.
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
    """Return the spans of the values of the only object in ``text``, strings without quotes."""
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
    """Return the position of the next non-space character."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


@dataclass(frozen=True, slots=True)
class _Tokens:
    """An answer's tokens and their byte offsets in the text."""

    text: bytes
    tokens: tuple[TokenLogprob, ...]
    starts: tuple[int, ...]

    @classmethod
    def spelling(cls, completion: Completion) -> "_Tokens | None":
        """Return the tokens, or None if there are none or they do not spell the text."""
        if not completion.logprobs:
            return None
        text = completion.text.encode("utf-8", "replace")
        pieces = [token.written for token in completion.logprobs]
        # The end-of-answer token may be included, but is not part of the text.
        if not b"".join(pieces).startswith(text):
            return None
        starts = accumulate((len(piece) for piece in pieces[:-1]), initial=0)
        return cls(text, completion.logprobs, tuple(starts))

    def chance(self, span: _Span, options: Sequence[str]) -> Chance | None:
        """Return the probability of the value at ``span``, or None if the span is empty."""
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
        # An alternative token reveals an option's probability only if it leads to no other option.
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
        """Return the index of the first token that differs if ``text`` is written, or None."""
        for index in own:
            begins = self.starts[index]
            ends = begins + len(self.tokens[index].written)
            if (self.text[:start] + text)[begins:ends] != self.text[begins:ends]:
                return index
        return None
