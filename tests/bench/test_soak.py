import pytest

from bench.soak.__main__ import SERVICE, Look, courses, markdown, slope_mib_per_hour


def test_the_slope_is_computed_over_the_second_half():
    seconds = list(range(20))
    filling = [100.0 + 10 * second for second in range(10)]

    assert slope_mib_per_hour(seconds, [*filling, *[200.0] * 10]) == 0
    growing = [200.0 + 0.01 * second for second in range(10)]
    assert slope_mib_per_hour(seconds, [*filling, *growing]) == pytest.approx(36)


LOOKS = [
    Look(second, {7: 300.0, 9: 60.0 + second / 3600} | ({8: 90.0} if second < 3 else {}))
    for second in range(20)
]


def test_each_process_is_reported_separately_even_one_that_ended():
    found = courses(7, LOOKS)

    assert list(found) == [SERVICE, "decoder 1", "decoder 2"]
    assert found[SERVICE]["slope MiB/hour"] == 0
    assert (found["decoder 1"]["last"], found["decoder 1"]["slope MiB/hour"]) == (90, None)
    assert found["decoder 2"]["slope MiB/hour"] == 1


def test_published_tables_have_a_row_for_each_process():
    text = markdown(
        {
            "machine": {"commit": "abc"},
            "minutes": 10.0,
            "answered": {"text-64": 1000, "photo-4": 20},
            "outcomes": {"200": 1020, "503": 1},
            "memory MiB": courses(7, LOOKS),
        }
    )

    assert "10 minutes, 1,021 requests, 1,020 of them answered; commit abc." in text
    assert "| decoder 2 " in text
