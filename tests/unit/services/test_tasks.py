"""The conclusion of each task from the model's answers."""

import pytest

from app.services.answers.form import Model
from app.services.tasks import TASKS, chart, compare, diagram, document_qa, inspection, retrieval
from app.services.tasks.spec import Finding, UnansweredError
from tests.support.model.reading import answer_in


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_documented_example_is_valid_for_its_task(task):
    task.parameters.model_validate(dict(task.example.parameters), strict=True)
    result = task.result.model_validate(dict(task.example.result))

    assert result.model_dump() == dict(task.example.result)


def test_a_chart_becomes_a_table_of_its_series():
    text = (
        '{"chart_type": "line", "x_axis": "Year", "insight": "up", "points": ['
        '{"series": "A", "x": "2024", "y": 1}, {"series": "B", "x": "2024", "y": 2},'
        '{"series": "A", "x": "2025", "y": "3.5"}]}'
    )
    answer = answer_in(text, Model(chart.ChartAnswer))
    result = chart.conclude(chart.ChartParameters(), [Finding(answer)])

    assert result.table.columns == ["Year", "A", "B"]
    assert result.table.rows == [["2024", 1.0, 2.0], ["2025", 3.5, None]]


def test_mermaid_text_escapes_syntax_read_from_a_picture():
    answer = diagram.DiagramAnswer.model_validate(
        {
            "kind": "flowchart",
            "nodes": [{"name": 'end"] --> x; click n1 "javascript:1"'}, {"name": "<b>B</b>"}],
            "edges": [
                {"from": 'end"] --> x; click n1 "javascript:1"', "to": "<b>B</b>", "words": "a|b"}
            ],
            "explanation": "x",
        }
    )
    text = diagram.conclude(diagram.DiagramParameters(), [Finding(answer)]).mermaid

    assert text is not None
    assert text.splitlines() == [
        "flowchart TD",
        '    n1["end#quot;] --#gt; x; click n1 #quot;javascript:1#quot;"]',
        '    n2["#lt;b#gt;B#lt;/b#gt;"]',
        '    n1 -->|"a|b"| n2',
    ]


def test_the_most_severe_defect_comes_first_with_the_notice():
    defects = [
        {"defect": name, "severity": severity, "place": "x", "details": "y"}
        for name, severity in (("a", "minor"), ("b", "Critical"), ("c", "major"))
    ]
    answer = inspection.InspectionAnswer.model_validate(
        {"findings": defects, "verdict": "defect_seen", "action": "Stop."}
    )
    result = inspection.conclude(inspection.InspectionParameters(object="weld"), [Finding(answer)])

    assert [defect.defect for defect in result.findings] == ["b", "c", "a"]
    assert "No substitute" in result.notice


def page(
    number: int, relevance: float, answer: str | None = "x"
) -> Finding[document_qa.PageAnswer]:
    return Finding(
        document_qa.PageAnswer(found=answer is not None, answer=answer, relevance=relevance),
        page=number,
    )


def test_the_most_relevant_page_answers_and_a_failed_one_is_reported():
    result = document_qa.conclude(
        document_qa.DocumentQaParameters(question="?"),
        [page(1, 0.4), Finding(None, "model_throttled: x", page=2), page(3, 0.9, "y"), page(4, 0)],
    )

    assert (result.answer, result.page) == ("y", 3)
    assert [p.error for p in result.pages] == [None, "model_throttled: x", None, None]


def test_an_answer_missing_in_the_document_is_null():
    result = document_qa.conclude(
        document_qa.DocumentQaParameters(question="?"), [page(1, 0.4, None)]
    )

    assert (result.answer, result.page, result.pages[0].relevance) == (None, None, 0.4)


def test_candidates_come_best_first_and_equals_keep_their_order():
    findings = [
        Finding(retrieval.FitAnswer(reason="r", score=score)) for score in (0.2, 0.9, 0.2, 0.5)
    ]
    result = retrieval.conclude(
        retrieval.RetrievalParameters(query="q"), [*findings, Finding(None, "broken")]
    )

    assert [ranked.index for ranked in result.ranking] == [1, 3, 0, 2]
    assert [(failed.index, failed.error) for failed in result.failed] == [(4, "broken")]


def test_words_in_only_one_picture_are_found_without_the_model():
    result = compare.conclude(
        compare.CompareParameters(),
        [
            Finding(compare.Description(description="a", text="Shop\nTotal 1")),
            Finding(compare.Description(description="b", text="SHOP\nTotal 2")),
            Finding(compare.Comparison(differences=["price"], similarities=[])),
        ],
    )

    assert [picture.words_only_here for picture in result.images] == [["Total 1"], ["Total 2"]]


def test_pictures_are_not_compared_if_one_could_not_be_described():
    described: Finding[compare.Answer] = Finding(compare.Description(description="a", text=""))
    findings: list[Finding[compare.Answer]] = [described, Finding(None, "broken")]

    assert compare.follow_up(compare.CompareParameters(), findings) is None
    with pytest.raises(UnansweredError, match="broken"):
        compare.conclude(compare.CompareParameters(), findings)
