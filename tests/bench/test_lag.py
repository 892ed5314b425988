import math

import pytest
from prometheus_client import generate_latest

from app.telemetry.metrics import Metrics
from bench.peers import lag


def test_lag_buckets_are_read_from_the_metrics_page():
    metrics = Metrics()
    for seconds in (0.004, 0.004, 0.02, 500):
        metrics.observe(lag.NAME, seconds)
    metrics.flush()

    found = lag.parsed(generate_latest(metrics.registry).decode())

    assert {bound: count for bound, count in found.items() if count} == {
        0.005: 2,
        0.025: 1,
        math.inf: 1,
    }


@pytest.mark.parametrize(
    ("share", "bound"), [(0.5, 0.01), (0.75, 0.01), (0.76, 0.1), (1, 0.1), (0.01, 0.01)]
)
def test_a_quantile_is_the_first_bound_that_enough_samples_are_within(share, bound):
    assert lag.quantile({0.005: 0, 0.01: 3, 0.1: 1}, share) == bound


def test_an_empty_sample_has_no_quantile():
    assert lag.quantile({0.005: 0}, 0.99) is None
