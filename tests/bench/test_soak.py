import pytest

from bench.soak import slope_mib_per_hour


def test_the_slope_is_that_of_the_second_half():
    seconds = list(range(20))
    filling = [100.0 + 10 * second for second in range(10)]

    assert slope_mib_per_hour(seconds, [*filling, *[200.0] * 10]) == 0
    growing = [200.0 + 0.01 * second for second in range(10)]
    assert slope_mib_per_hour(seconds, [*filling, *growing]) == pytest.approx(36)
