import pytest

from bench.peers import targets
from tests.bench.runs import run

STALL = "event loop's stall, p99 of the worst row of ours, ms"


def found(runs, title):
    return next(t for t in targets.targets(runs) if t.title == title)


@pytest.mark.parametrize(("rate", "met"), [(1499.9, False), (1500.0, True)])
def test_a_rate_meets_its_target_from_the_bound_upwards(rate, met):
    assert found([run(per_second=rate)], "text, requests/s").met is met


@pytest.mark.parametrize(("added", "met"), [(0.99, True), (1.0, False)])
def test_a_delay_meets_its_target_below_the_bound(added, met):
    runs = [run("direct", "text-1", p50=0.0), run("ours", "text-1", p50=added)]

    assert found(runs, "text, 1 in flight, added p50, ms").met is met


@pytest.mark.parametrize(("bucket", "met"), [("0.01", True), ("0.025", False)])
def test_a_stall_meets_its_target_up_to_the_bucket_that_ends_at_the_bound(bucket, met):
    runs = [run(lag_buckets={bucket: 5}), run("naive", lag_buckets={"1": 5})]

    assert found(runs, STALL).met is met


@pytest.mark.parametrize("gateway", ["ours", "ours, chat"])
def test_one_bad_row_of_ours_counts_as_a_stall_despite_good_rows_of_others(gateway):
    runs = [run(lag_buckets={"0.001": 5000}), run(gateway, "500kb-64", lag_buckets={"0.05": 5})]

    assert found(runs, STALL).measured == 50


def test_a_ratio_compares_the_same_workload():
    runs = [
        run("ours", per_second=1000.0),
        run("naive", per_second=400.0),
        run("naive", "500kb-64", per_second=1.0),
    ]

    assert found(runs, "text, times naive").measured == 2.5


def test_litellm_is_compared_with_chat_completions_and_with_our_own_dialect():
    runs = [
        run("ours", per_second=1000.0),
        run("ours, chat", per_second=800.0),
        run("LiteLLM", per_second=100.0),
    ]

    assert found(runs, "text, chat completions, times LiteLLM").measured == 8
    assert found(runs, "text, own dialect, times LiteLLM").measured == 10


def test_a_rounds_ratio_uses_the_figures_of_that_round():
    runs = [
        run(gateway, number=number, per_second=rate)
        for number, ours, naive in ((1, 900.0, 300.0), (2, 1000.0, 500.0), (3, 1100.0, 440.0))
        for gateway, rate in (("ours", ours), ("naive", naive))
    ]

    target = found([*runs, run(number=4, per_second=1000.0)], "text, times naive")

    assert target.measured == pytest.approx(1000 / 440)
    assert target.rounds == [3, 2, 2.5]


def test_memory_includes_the_workers():
    runs = [
        run("ours", "500kb-64", number, peak_mib=main, workers_peak_mib=workers)
        for number, main, workers in ((1, 200.0, 160.0), (2, 210.0, 100.0))
    ]

    target = found(runs, "memory, 64 x 500 KB in flight, workers and a full cache included, MiB")
    assert (target.measured, target.met) == (360.0, False)


def test_bytes_saved_are_relative_to_what_the_caller_sent():
    runs = [
        run("direct", "photo-4", upstream_bytes=3_000_000.0),
        run("ours", "photo-4", upstream_bytes=300_000.0),
    ]

    assert found(runs, "12 MP photo, times fewer bytes upstream").measured == 10


def test_an_unmeasured_target_is_neither_met_nor_missed():
    assert all(target.met is None for target in targets.targets([]))
