"""The results of several pages combined into one."""

from typing import Any

import pytest

from app.domain.model import Capabilities
from app.services.documents.page import Cut, Origin, Slant, Span, Tile, view
from app.services.geometry import Size
from app.services.tasks import chart, diagram, extract, grounding, ocr
from app.services.tasks.ocr_answers import Answer, Blocks, Lines, Marked, Plain, Rows
from app.services.tasks.spec import Finding, TaskParameterError, UnansweredError
from app.services.tasks.tables import as_html, in_markdown

A4 = Size(595, 842)
DRAWN = Size(1120, 1584)


def tile(answer: object, row: int, top: int, height: int, *, shared: int = 0) -> Finding[Any]:
    cut = Cut(1, DRAWN, Tile(0, top, 1120, height), row, shared)
    return Finding(answer, view=view(cut, A4), origin=Origin("images.0", 1, A4, cut))


def on_page(answer: object, page: int, *, file: int = 0, number: int | None = None) -> Finding[Any]:
    cut = Cut(1, DRAWN, Tile(0, 0, *DRAWN))
    origin = Origin(f"images.{file}", number or page, A4, cut)
    return Finding(answer, page=page, view=view(cut, A4), origin=origin)


def read(answer: object, **parameters: str) -> ocr.OcrResult:
    return ocr.conclude(ocr.OcrParameters(**parameters), [on_page(answer, 1)])


def test_blocks_have_their_boxes_and_give_markdown_and_tables():
    answer = Blocks.model_validate(
        {
            "blocks": [
                {"kind": "Title", "text": "Bill", "box": [0, 0, 0.5, 0.1]},
                {"kind": "text", "text": "Thank you."},
                {"kind": "table", "text": "| a | b |\n|---|---|\n| 1 | <2> |", "box": None},
                {"kind": "scribble", "text": "x"},
            ]
        }
    )
    (page,) = read(answer, output="blocks").pages

    assert [block.kind for block in page.blocks] == ["title", "paragraph", "table", "other"]
    assert page.blocks[0].box is not None
    assert page.blocks[0].box.pixels.right == 298
    assert page.markdown is not None
    assert page.markdown.startswith("# Bill\n\nThank you.\n\n| a | b |")
    assert page.tables[0].rows == [["a", "b"], ["1", "<2>"]]
    assert page.tables[0].html == (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;2&gt;</td></tr></table>"
    )
    assert (page.width, page.height, page.file, page.number) == (595, 842, "images.0", 1)


def test_markdown_gives_the_tables_in_it():
    result = read(
        Marked(markdown="# A\n\n| x | y |\n| :-- | --: |\n| 1 \\| 2 | 3 |\n\nEnd"),
        output="markdown",
    )

    assert result.pages[0].markdown == result.pages[0].text
    assert result.tables[0].rows == [["x", "y"], ["1 | 2", "3"]]
    assert in_markdown("no | table") == []
    assert as_html([]) == "<table></table>"


@pytest.mark.parametrize(
    ("markdown", "rows"),
    [
        ("|a|b|\n|-|-|\n|-|-|\n|1|2|", [["a", "b"], ["-", "-"], ["1", "2"]]),
        ("a | b\n--- | ---\n1 | 2\nafter", [["a", "b"], ["1", "2"]]),
        ("|a|b|\n|---|---|\n|1|2|\n|---|---|\n|3|4|", [["a", "b"], ["1", "2"], ["3", "4"]]),
    ],
)
def test_every_row_of_a_markdown_table_is_kept_but_the_delimiters(markdown, rows):
    assert in_markdown(markdown) == [rows]


def test_a_cell_of_several_lines_keeps_them_in_rows_and_html():
    (rows,) = in_markdown("|a|\n|-|\n|shade and<br>two <bulbs>|")

    assert rows == [["a"], ["shade and\ntwo <bulbs>"]]
    assert "<td>shade and<br>two &lt;bulbs&gt;</td>" in as_html(rows)


def test_plain_text_is_not_mistaken_for_markdown():
    page = read(Plain(text="| a | b |"), output="text").pages[0]

    assert (page.markdown, page.tables, page.blocks) == (None, [], [])


def test_output_and_layout_together_are_refused():
    with pytest.raises(TaskParameterError):
        ocr.questions(ocr.OcrParameters(output="text", layout="lines"), 1, Capabilities())


def test_the_tiles_of_a_page_give_one_text_and_one_table():
    tiles = [
        tile(Rows(rows=[["a", "1"], ["b", "2"]]), 0, 0, 560),
        tile(Rows(rows=[["b", "2"], ["c", "3"]]), 1, 440, 560, shared=120),
    ]
    result = ocr.conclude(ocr.OcrParameters(layout="table"), tiles)

    assert [table.rows for table in result.tables] == [[["a", "1"], ["b", "2"], ["c", "3"]]]
    assert len(result.pages) == 1


def test_rows_of_a_table_stay_whole_if_some_have_no_right_part():
    def part(rows: list[list[str]], left: int, tops: list[int]) -> Finding[Any]:
        spans = tuple(Span(top, 20) for top in tops)
        cut = Cut(1, DRAWN, Tile(left, 0, 560, 560), gap_left=90, lines=spans)
        return Finding(Rows(rows=rows), view=view(cut, A4), origin=Origin("images.0", 1, A4, cut))

    left = part([["Coffee", "1"], ["Tea", "2"], ["Cake", "3"]], 0, [10, 50, 90])
    right = part([["2.50"], ["4.10"]], 560, [51, 91])
    result = ocr.conclude(ocr.OcrParameters(layout="table"), [left, right])

    assert result.tables[0].rows == [
        ["Coffee", "1", ""],
        ["Tea", "2", "2.50"],
        ["Cake", "3", "4.10"],
    ]


def test_equal_lines_with_boxes_in_overlapping_tiles_keep_their_number():
    def lines(tops: list[float]) -> Lines:
        boxes = [[0.1, top, 0.9, top + 0.03] for top in tops]
        return Lines.model_validate({"lines": [{"text": "-----", "box": box} for box in boxes]})

    above = tile(lines([0.1, 0.5, 0.9]), 0, 0, 500)
    # 0.9 of the upper tile, 450 pixels down, is 0.14 of the one that begins at 380.
    below = tile(lines([0.14, 0.5]), 1, 380, 500, shared=120)
    result = ocr.conclude(ocr.OcrParameters(layout="lines"), [above, below])

    assert len(result.lines) == 4
    assert result.text == "\n".join(["-----"] * 4)


def test_slanting_lines_with_overlapping_boxes_stay_two_lines():
    steep, height, texts = 0.05, 22, [f"line {n}" for n in range(40)]
    tops = {text: 60.0 + 28 * n for n, text in enumerate(texts)}
    """Lines are ordered by their height in the page's first column; each is 1,000 pixels long."""

    def part(row: int, first: float, last: float, shared: int = 0) -> Finding[Any]:
        slant = Slant(steep, first, last)
        bounds = slant.bounds(Span(0, 1120), 1584)
        cut = Cut(1, DRAWN, Tile(0, bounds.start, 1120, bounds.length), row, shared, slant=slant)
        seen = [text for text in texts if first <= tops[text] <= last - height]
        lines = [
            {
                "text": text,
                "box": [
                    50 / 1120,
                    (tops[text] + 50 * steep - bounds.start) / bounds.length,
                    1050 / 1120,
                    (tops[text] + 1050 * steep + height - bounds.start) / bounds.length,
                ],
            }
            for text in seen
        ]
        answer = Lines.model_validate({"lines": lines})
        return Finding(answer, view=view(cut, A4), origin=Origin("images.0", 1, A4, cut))

    parts = [part(0, 0, 500), part(1, 380, 900, shared=120), part(2, 780, 1400, shared=120)]
    result = ocr.conclude(ocr.OcrParameters(layout="lines"), parts)

    assert [line.text for line in result.lines] == texts


def test_a_pages_text_layer_takes_precedence_over_the_models_reading():
    origin = Origin("images.0", 1, A4, text="own text")
    findings: list[Finding[Answer]] = [
        Finding(Plain(text="read text"), page=1, origin=origin),
        Finding(None, "broken", page=2, origin=Origin("images.0", 2, A4, text="of page 2")),
    ]
    result = ocr.conclude(ocr.OcrParameters(text_layer="prefer"), findings)

    first, second = result.pages
    assert (first.text, first.text_layer, first.model_text) == ("own text", "own text", "read text")
    assert (second.text, second.model_text, second.error) == ("of page 2", None, "broken")
    assert result.text == "own text\n\nof page 2"


def test_if_no_page_can_be_read_each_page_has_its_reason():
    with pytest.raises(UnansweredError) as caught:
        ocr.conclude(
            ocr.OcrParameters(), [Finding(None, "broken", page=1), Finding(None, "odd", page=2)]
        )

    assert caught.value.faults == ("page 1: broken", "page 2: odd")


SCHEMA = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string"},
        "total": {"type": "number"},
        "items": {"type": "array", "items": {"type": "string"}},
    },
}


def extracted(*pages: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> extract.ExtractResult:
    parameters = extract.ExtractParameters.model_validate({"schema": schema})
    (question,) = extract.questions(parameters, 1, Capabilities())
    return extract.conclude(
        parameters, [on_page(question.form.check(page), n) for n, page in enumerate(pages, 1)]
    )


def test_the_fields_of_several_pages_are_merged_into_one_object():
    result = extracted(
        {"vendor": "Acme", "items": ["tea"]}, {"vendor": " acme ", "total": 3, "items": ["pie"]}
    )

    assert result.fields == {"vendor": "Acme", "total": 3, "items": ["tea", "pie"]}
    assert (result.not_found, result.conflicts) == ([], [])
    assert [page.fields and page.fields["total"] for page in result.pages] == [None, 3]
    assert result.pages[0].not_found == ["total"]


def test_conflicting_pages_are_reported_and_the_most_frequent_value_wins():
    result = extracted({"total": 1}, {"total": 2}, {"total": 2})

    assert result.fields["total"] == 2
    (conflict,) = result.conflicts
    assert conflict.path == "total"
    assert [(value.page, value.value) for value in conflict.values] == [(1, 1), (2, 2)]


def test_pages_with_the_same_number_in_another_notation_are_no_conflict():
    result = extracted({"total": 42}, {"total": 42.0})

    assert (result.fields["total"], result.conflicts) == (42, [])


def test_merged_fields_stay_valid_under_the_schema():
    schema = {"type": "object", "properties": {"items": {"type": "array", "maxItems": 2}}}
    result = extracted({"items": [1, 2]}, {"items": [3]}, schema=schema)

    assert result.fields == {"items": [1, 2]}


def test_an_unreadable_page_leaves_the_other_pages_fields():
    parameters = extract.ExtractParameters.model_validate({"schema": SCHEMA})
    (question,) = extract.questions(parameters, 1, Capabilities())
    good = on_page(question.form.check({"total": 1}), 2)
    result = extract.conclude(parameters, [Finding(None, "broken", page=1), good])

    assert [page.error for page in result.pages] == ["broken", None]
    assert result.fields["total"] == 1


def points(*values: tuple[str, float], title: str = "Sales") -> chart.ChartAnswer:
    return chart.ChartAnswer.model_validate(
        {
            "chart_type": "bar",
            "title": title,
            "points": [{"x": x, "y": y} for x, y in values],
            "insight": "i",
        }
    )


def test_one_chart_over_two_pages_is_one_table_and_another_stays_on_its_page():
    findings = [
        on_page(points(("a", 1), ("b", 2)), 1),
        on_page(points(("b", 3), ("c", 4)), 2),
        on_page(points(("z", 9), title="Other"), 3),
    ]
    result = chart.conclude(chart.ChartParameters(), findings)

    assert result.table.rows == [["a", 1.0], ["b", 2.0], ["c", 4.0]]
    assert [conflict.path for conflict in result.conflicts] == ["b"]
    assert [page.chart and page.chart.title for page in result.pages] == ["Sales", "Sales", "Other"]


def test_pages_that_disagree_on_the_kind_of_one_chart_are_a_conflict():
    bars = points(("a", 1), ("b", 2), title="Sales")
    curve = points(("a", 1), title=" SALES ").model_copy(update={"chart_type": "line"})
    result = chart.conclude(chart.ChartParameters(), [on_page(bars, 1), on_page(curve, 2)])

    assert result.chart_type == "bar"
    (conflict,) = result.conflicts
    assert (conflict.path, [told.value for told in conflict.values]) == (
        "chart_type",
        ["bar", "line"],
    )


def test_a_diagram_over_two_pages_is_joined_at_its_shared_nodes():
    def drawing(*names: str) -> diagram.DiagramAnswer:
        return diagram.DiagramAnswer.model_validate(
            {
                "kind": "flowchart",
                "nodes": [{"name": name} for name in names],
                "edges": [{"from": names[0], "to": names[1]}],
                "explanation": names[0],
            }
        )

    findings = [on_page(drawing("A", "B"), 1), on_page(drawing("B", "C"), 2)]
    result = diagram.conclude(diagram.DiagramParameters(), findings)

    assert [node.label for node in result.nodes] == ["A", "B", "C"]
    assert [(edge.source, edge.target) for edge in result.edges] == [("n1", "n2"), ("n2", "n3")]
    assert len(result.pages) == 2


def located(*boxes: list[float]) -> grounding.GroundingAnswer:
    things = [{"label": "cat", "box": box} for box in boxes]
    return grounding.GroundingAnswer.model_validate({"objects": things})


def test_objects_are_located_on_each_page_of_each_file():
    findings = [
        on_page(located([0, 0, 0.5, 0.5]), 1),
        on_page(located([0.5, 0.5, 1, 1]), 2, file=1, number=1),
    ]
    parameters = grounding.GroundingParameters(phrases=["cat", "dog"])
    result = grounding.conclude(parameters, findings)

    assert [(o.page, o.file, o.number) for o in result.objects] == [
        (1, "images.0", 1),
        (2, "images.1", 1),
    ]
    assert result.not_found == ["dog"]


def test_an_object_shown_in_two_tiles_is_located_once():
    above = tile(located([0.1, 0.8, 0.3, 1.0]), 0, 0, 500)
    below = tile(located([0.1, 0.04, 0.3, 0.24]), 1, 380, 500, shared=120)
    result = grounding.conclude(grounding.GroundingParameters(phrases=["cat"]), [above, below])

    assert len(result.objects) == 1
    assert result.objects[0].box.top == pytest.approx(400 / 1584)
