import pytest

from bench.peers import figures, gateways, publish, tables
from bench.peers.targets import Relation, Target
from tests.bench.runs import run


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.12345, "0.123"), (12.345, "12.3"), (1234.5, "1,234"), (7.0, "7")],
)
def test_numbers_have_three_significant_digits_or_all_digits_of_an_integer(value, text):
    assert tables.number(value) == text


def test_a_table_has_a_row_for_each_measured_and_each_skipped_gateway():
    runs = [run("direct"), run("ours", per_second=1000.0), run("naive", per_second=500.0)]

    text = tables.tables(figures.table(runs), {}, {"signed": {"LiteLLM": "it is not installed"}})

    table = [row for row in rows(text) if len(row) > 2]
    assert [row[0] for row in table[2:]] == [
        "direct",
        "ours",
        "naive",
        "LiteLLM: it is not installed",
    ]
    assert table[3][1:3] == ["1,000", "2"]


def test_a_gateway_is_listed_as_skipped_only_under_the_identity_it_lacked():
    runs = [run("ours"), run("LiteLLM"), run("ours", "500kb-key-64")]

    text = tables.tables(figures.table(runs), {}, {"API key": {"LiteLLM": "it did not start"}})

    signed, by_key = text.split("\n### ")
    assert "did not start" not in signed
    assert "| LiteLLM: it did not start |" in by_key


def test_a_cell_stays_on_one_line_whatever_a_log_contains():
    table = tables.markdown(["a", "b"], [["x | y\nz", "1"]])

    assert table.splitlines()[2] == "| x \\| y z | 1 |"


def test_the_last_non_empty_line_of_a_log_is_quoted():
    log = "INFO: starting\n\x1b[31mERROR: no such | port\x1b[0m\n \n"

    assert gateways.last_line(log) == "ERROR: no such | port"
    assert gateways.last_line("") == "it said nothing"
    assert len(gateways.last_line("x" * 1000)) == 200


def test_a_stall_is_reported_with_its_number_of_samples():
    runs = [run(lag_buckets={"0.005": 8}), run(number=2, lag_buckets={"0.005": 7})]

    assert "| ≤ 5 (15) " in tables.tables(figures.table(runs), {}, {})


def test_stream_overhead_is_reported_per_chunk():
    runs = [
        run(gateway, workload, p50=p50)
        for workload in ("stream-16", "stream-1")
        for gateway, p50 in (("direct", 1.0), ("ours", 5.0))
    ]

    text = tables.tables(figures.table(runs), {}, {})

    waiting, alone = text.split("\n### ")
    assert "added a chunk" not in waiting
    table = [row for row in rows(alone) if len(row) > 2]
    place = table[0].index("added a chunk, µs")
    assert table[3][place] == "40"  # 4 ms over 100 chunks


def test_requests_that_the_model_would_refuse_are_marked():
    runs = [run("ours", "photo-4"), run("naive", "photo-4", per_second=500.0)]

    text = tables.tables(
        figures.table(runs), {"photo-4": {"ours": "taken", "naive": "too large"}}, {}
    )

    table = {row[0]: row[1] for row in rows(text) if len(row) > 2}
    assert table["ours"] == "500"
    assert table["naive"] == "500‡"
    assert "‡ The model refuses what naive sends: too large" in text


def test_every_row_is_marked_if_all_processes_shared_one_core():
    runs = [run(gateway, one_core=True) for gateway in ("direct", "ours")]

    text = tables.tables(figures.table(runs), {}, {})

    assert [row[1] for row in rows(text) if row[0] in ("direct", "ours")] == ["500§", "500§"]
    assert tables.ONE_CORE in text
    assert tables.ONE_CORE not in tables.tables(figures.table([run()]), {}, {})


def test_targets_report_the_spread_of_rounds_and_whether_they_are_met():
    found = [
        Target("a", Relation.AT_LEAST, 5, 5.0, (4.0, 7.0, 5.0)),
        Target("b", Relation.UNDER, 5, 5.0),
        Target("c", Relation.AT_MOST, 5, None),
    ]

    assert [row[1:] for row in rows(tables.targets(found))[2:]] == [
        ["5 or more", "5", "4 to 7", "met"],
        ["under 5", "5", "-", "**not met**"],
        ["5 or less", "-", "-", "not measured"],
    ]


def test_publishing_replaces_only_the_text_between_the_marks():
    page = "before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n"

    once = publish.filled(page, "new")

    assert once == "before\n<!-- figures: begin -->\nnew\n<!-- figures: end -->\nafter\n"
    assert publish.filled(once, "new") == once


def test_a_page_without_marks_is_left_unchanged():
    with pytest.raises(ValueError, match="figures: begin"):
        publish.filled("text", "new")


@pytest.mark.parametrize("part", ["figures", "soak"])
def test_the_page_in_docs_has_the_marks(part):
    assert publish.filled(publish.PAGE.read_text(), "x", part)
