"""The lag of the service's event loop, by its own histogram."""

import math
from collections import Counter
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from bench import fetch

NAME = "llama_vision_event_loop_lag_seconds"

Buckets = Counter[float]
"""Observations by the upper bound of their bucket, seconds."""


def read(url: str, key: str) -> Buckets:
    """Return a service's observations so far."""
    return parsed(fetch.get(f"{url}/metrics", {"X-API-Key": key}).decode())


def parsed(text: str) -> Buckets:
    """Return the histogram in a page of metrics, each bucket by itself."""
    cumulative = sorted(
        (float(sample.labels["le"]), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{NAME}_bucket"
    )
    found: Buckets = Counter()
    below = 0.0
    for bound, count in cumulative:
        found[bound] = round(count - below)
        below = count
    return found


def quantile(buckets: Mapping[float, int], share: float) -> float | None:
    """Return a bound, in seconds, that ``share`` of the observations keep; None without any."""
    total = sum(buckets.values())
    if not total:
        return None
    seen, needed = 0, math.ceil(share * total)
    for bound in sorted(buckets):
        seen += buckets[bound]
        if seen >= needed:
            return bound
    raise AssertionError("the buckets hold all observations")
