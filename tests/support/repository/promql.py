"""Evaluates the part of Prometheus's language that this project's alerts use, over given series.

The parser is `promql_parser`; what stands here follows Prometheus's own semantics of its functions.
Anything else in an expression is an error, never a guess.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import promql_parser as promql

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

LOOKBACK = 300.0
"""Seconds for which a sample counts as current."""
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    "==": lambda one, other: one == other,
}
_AGGREGATED: Mapping[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min}


@dataclass(frozen=True, slots=True)
class Series:
    """A series: its labels with ``__name__``, and a sample every ``interval`` seconds."""

    labels: Mapping[str, str]
    samples: Sequence[float | None]
    interval: float

    @classmethod
    def parse(cls, series: str, values: str, interval: float) -> "Series":
        """Parse an input series in promtool's notation: ``a{b="c"}`` and ``0+1x10``."""
        selector = promql.parse(series)
        assert isinstance(selector, promql.VectorSelector)
        labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        samples = [sample for part in values.split() for sample in _expanded(part)]
        return cls(labels | {"__name__": str(selector.name)}, samples, interval)

    def between(self, start: float, end: float) -> list[tuple[float, float]]:
        """Return the samples after ``start`` and up to ``end``, with their times."""
        timed = ((at * self.interval, value) for at, value in enumerate(self.samples))
        return [(at, value) for at, value in timed if value is not None and start < at <= end]


def _expanded(part: str) -> list[float | None]:
    if part == "_":
        return [None]
    match = re.fullmatch(r"(-?[\d.]+)(?:([+-][\d.]+))?(?:x(\d+))?", part)
    assert match, f"{part} is not a notation of values"
    first, step, times = float(match[1]), float(match[2] or 0), int(match[3] or 0)
    return [first + step * n for n in range(times + 1)]


def evaluated(expression: str, series: Sequence[Series], at: float) -> Vector:
    """Return the value of ``expression`` at ``at`` seconds."""
    result = _value(promql.parse(expression), series, at)
    assert isinstance(result, dict), "an alert's expression gives a vector"
    return result


def _value(node: Any, series: Sequence[Series], at: float) -> Vector | float:
    match node:
        case promql.ParenExpr():
            return _value(node.expr, series, at)
        case promql.NumberLiteral():
            return float(node.val)
        case promql.VectorSelector():
            recent = _selected(node, series, at, LOOKBACK)
            return {labels: samples[-1][1] for labels, samples in recent.items()}
        case promql.AggregateExpr():
            return _aggregated(node, _vector(node.expr, series, at))
        case promql.Call():
            return _called(node, series, at)
        case promql.BinaryExpr():
            return _combined(node, _value(node.lhs, series, at), _value(node.rhs, series, at))
    raise NotImplementedError(type(node).__name__)


def _vector(node: Any, series: Sequence[Series], at: float) -> Vector:
    value = _value(node, series, at)
    assert isinstance(value, dict)
    return value


def _selected(
    selector: Any, series: Sequence[Series], at: float, seconds: float
) -> dict[Labels, list[tuple[float, float]]]:
    selected = {}
    for one in series:
        if one.labels["__name__"] != selector.name:
            continue
        matched = all(_matches(matcher, one.labels) for matcher in selector.matchers.matchers)
        if matched and (samples := one.between(at - seconds, at)):
            selected[frozenset(one.labels.items())] = samples
    return selected


def _matches(matcher: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match str(matcher.op).rpartition(".")[2]:
        case "Equal":
            return value == str(matcher.value)
        case "NotEqual":
            return value != str(matcher.value)
        case "Re":
            return bool(re.fullmatch(matcher.value, value))
        case "NotRe":
            return not re.fullmatch(matcher.value, value)
    raise NotImplementedError(str(matcher.op))


def _aggregated(node: Any, vector: Vector) -> Vector:
    kept = {*node.modifier.labels} if node.modifier else set()
    groups: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in vector.items():
        groups[frozenset((name, text) for name, text in labels if name in kept)].append(value)
    return {labels: _AGGREGATED[str(node.op)](values) for labels, values in groups.items()}


def _called(node: Any, series: Sequence[Series], at: float) -> Vector:
    match node.func.name, node.args:
        case "rate" | "increase" as name, [promql.MatrixSelector() as matrix]:
            window = _seconds(matrix.range)
            per = window if name == "rate" else 1.0
            selected = _selected(matrix.vector_selector, series, at, window)
            return {
                _unnamed(labels): grown / per
                for labels, samples in selected.items()
                if (grown := _increase(samples, at - window, at)) is not None
            }
        case "histogram_quantile", [quantile, buckets]:
            rank = _value(quantile, series, at)
            assert isinstance(rank, float)
            return _quantiles(rank, _vector(buckets, series, at))
    raise NotImplementedError(node.func.name)


def _seconds(span: timedelta) -> float:
    return span.total_seconds()


def _unnamed(labels: Labels) -> Labels:
    return frozenset((name, value) for name, value in labels if name != "__name__")


def _increase(samples: Sequence[tuple[float, float]], start: float, end: float) -> float | None:
    """Return a counter's growth, extrapolated to the ends as `extrapolatedRate` does."""
    if len(samples) < 2:
        return None
    grown = sum(new if new < old else new - old for (_, old), (_, new) in pairwise(samples))
    (first_at, first), (last_at, _) = samples[0], samples[-1]
    spanned = last_at - first_at
    average = spanned / (len(samples) - 1)
    before, after = first_at - start, end - last_at
    if grown > 0 and first >= 0:
        before = min(before, spanned * first / grown)
    limit = average * 1.1
    before = before if before < limit else average / 2
    after = after if after < limit else average / 2
    return grown * (spanned + before + after) / spanned


def _quantiles(rank: float, buckets: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in buckets.items():
        bound = float(dict(labels)["le"].replace("+Inf", "inf"))
        groups[frozenset(pair for pair in labels if pair[0] != "le")].append((bound, count))
    return {labels: _quantile(rank, sorted(counts)) for labels, counts in groups.items()}


def _quantile(rank: float, buckets: Sequence[tuple[float, float]]) -> float:
    total = buckets[-1][1]
    if total == 0 or buckets[-1][0] != math.inf:
        return math.nan
    wanted, lower, below = rank * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if bound == math.inf:
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower


def _combined(node: Any, left: Vector | float, right: Vector | float) -> Vector:
    assert isinstance(left, dict)
    operator = str(node.op)
    if operator in ("and", "unless"):
        assert isinstance(right, dict)
        present = {_unnamed(labels) for labels in right}
        wanted = operator == "and"
        return {
            labels: value
            for labels, value in left.items()
            if (_unnamed(labels) in present) is wanted
        }
    if isinstance(right, float):
        return {
            labels: value for labels, value in left.items() if _COMPARED[operator](value, right)
        }
    assert operator == "/"
    others = {_unnamed(labels): value for labels, value in right.items()}
    return {
        _unnamed(labels): value / others[_unnamed(labels)] if others[_unnamed(labels)] else math.nan
        for labels, value in left.items()
        if _unnamed(labels) in others
    }
