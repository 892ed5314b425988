from bench.peers import figures
from tests.bench.runs import run


def test_figures_are_medians_of_rounds_but_memory_is_the_peak_and_errors_the_sum():
    runs = [
        run(number=1, per_second=100.0, peak_mib=50.0, failed=1),
        run(number=2, per_second=900.0, peak_mib=70.0, failed=0),
        run(number=3, per_second=300.0, peak_mib=60.0, failed=2),
    ]

    found = figures.table(runs)["text-64", "ours"]

    assert (found.per_second, found.peak_mib, found.failed) == (300.0, 70.0, 3)


def test_overhead_is_measured_against_the_upstream_in_the_same_round():
    runs = [
        run("direct", number=1, p50=1.0),
        run("direct", number=2, p50=5.0),
        run("direct", number=3, p50=1.0),
        run(number=1, p50=3.0),
        run(number=2, p50=8.0),
        run(number=3, p50=5.0),
    ]

    table = figures.table(runs)

    assert table["text-64", "ours"].added_p50 == 3.0  # of 2, 3 and 4
    assert table["text-64", "direct"].added_p50 is None


def test_no_overhead_is_given_without_a_measurement_of_the_upstream_alone():
    assert figures.table([run(p50=3.0)])["text-64", "ours"].added_p50 is None


def test_a_round_without_answers_is_left_out_of_the_times():
    runs = [run(number=1, p50=None, cpu_ms=None), run(number=2, p50=7.0, cpu_ms=2.0)]

    found = figures.table(runs)["text-64", "ours"]

    assert (found.p50, found.cpu_ms) == (7.0, 2.0)


def test_a_run_near_the_limit_of_the_load_generators_core_is_marked():
    near = [run(load_share=0.5, upstream_share=0.45)]
    far = [run(load_share=0.2, upstream_share=0.45)]

    assert figures.table(near)["text-64", "ours"].limited
    assert not figures.table(far)["text-64", "ours"].limited


def test_the_event_loop_lag_is_computed_over_all_rounds_together():
    runs = [run(lag_buckets={"0.005": 99}), run(number=2, lag_buckets={"0.005": 99, "0.1": 2})]

    assert figures.lag_p99_ms(runs[:1]) == 5.0
    assert figures.lag_p99_ms(runs) == 5.0
    assert figures.lag_p99_ms([*runs, run(lag_buckets={"0.1": 1})]) == 100.0
    assert figures.lag_p99_ms([run(lag_buckets={})]) is None
