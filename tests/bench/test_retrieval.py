"""How the retrieval benchmark reports what it measured."""

from bench.micro.retrieval import Taken, results


def test_each_kind_is_reported_as_overhead_over_plain_text():
    rows = results(
        {
            "text": Taken([0.001, 0.002, 0.009], cpu=0.003),
            "answer": Taken([0.004, 0.005, 0.006], cpu=0.009),
        }
    )

    assert rows["answer"] == {
        "p50_ms": 5.0,
        "cpu_ms": 3.0,
        "requests": 3,
        "added_p50_ms": 3.0,
        "added_cpu_ms": 2.0,
    }
