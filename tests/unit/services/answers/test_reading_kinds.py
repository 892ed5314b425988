"""Variants of the answers in tests/data/raw-answers.jsonl: whole kinds are handled."""

from typing import Any

import pytest

from app.domain.generation import StopReason
from app.services.answers.exact import AnyObject, SchemaForm
from app.services.answers.form import Form, Model
from app.services.answers.reading import read
from app.services.answers.schema_form import CallerForm
from app.services.answers.text.notes import AnswerError
from app.services.tasks import (
    caption,
    chart,
    diagram,
    document_qa,
    grounding,
    inspection,
    ocr_answers,
    reasoning,
    retrieval,
    vqa,
)
from tests.support.model.reading import answer_in

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
RECEIPT = CallerForm(
    {"type": "object", "properties": {"vendor": TEXT, "date": TEXT, "total": NUMBER}}
)
TWO = CallerForm({"type": "object", "properties": {"a": NUMBER, "b": NUMBER}})
SIZE = SchemaForm({"type": "object", "properties": {"size": {"enum": ["A", "A+", "XL"]}}})

FIELDS: dict[str, tuple[str, Any]] = {
    '{"Vendor": "ACME", "Date": "x", "Total": "1.234,00 €"}': (
        "keys in capitals",
        {"vendor": "ACME", "date": "x", "total": 1234},
    ),
    '{"vendor": {"type": "string", "value": "ACME"}, "date": "x", "total": {"value": 1}}': (
        "values within schemas",
        {"vendor": "ACME", "date": "x", "total": 1},
    ),
    '{"name": "extract", "parameters": {"vendor": "ACME", "date": "x", "total": 1}}': (
        "a call of a tool",
        {"vendor": "ACME", "date": "x", "total": 1},
    ),
    '"vendor": "ACME", "date": "x", "total": 1}': (
        "no first brace",
        {"vendor": "ACME", "date": "x", "total": 1},
    ),
    '{\\"vendor\\": \\"ACME\\", \\"date\\": \\"x\\", \\"total\\": 1}': (
        "escaped quotes",
        {"vendor": "ACME", "date": "x", "total": 1},
    ),
    "{&quot;vendor&quot;: &quot;ACME&quot;, &quot;date&quot;: null, &quot;total&quot;: 1}": (
        "entities",
        {"vendor": "ACME", "date": None, "total": 1},
    ),
    "{vendor: ACME GmbH & Co, date: 05.01.2024, total: 1,234.50}": (
        "nothing quoted",
        {"vendor": "ACME GmbH & Co", "date": "05.01.2024", "total": 1234.5},
    ),
    "{'vendor': 'Ann's Shop', 'date': 'x', 'total': 1}": (
        "an apostrophe",
        {"vendor": "Ann's Shop", "date": "x", "total": 1},
    ),
    '{"vendor": "The "Best" Shop", "date": "x", "total": 1}': (
        "quotes in a text",
        {"vendor": 'The "Best" Shop', "date": "x", "total": 1},
    ),
    '{"vendor": "ACME", "date": "x", "total": 1}\n\nNote: {"total": 1} has VAT in it.': (
        "a part behind",
        {"vendor": "ACME", "date": "x", "total": 1},
    ),
    '{"vendor": "ACME", "date": 2024-01-05, "total": null, "currency": "USD"}': (
        "a bare date and one key more",
        {"vendor": "ACME", "date": "2024-01-05", "total": None, "currency": "USD"},
    ),
}


@pytest.mark.parametrize("raw", FIELDS, ids=[name for name, _ in FIELDS.values()])
def test_fields_are_read_in_each_unusual_form(raw):
    assert answer_in(raw, RECEIPT).fields == FIELDS[raw][1]


FAULTS: dict[str, tuple[str, Form[Any]]] = {
    "thousands or a decimal": ('{"vendor": "ACME", "date": "x", "total": "1,234"}', RECEIPT),
    "percent": ('{"vendor": "ACME", "date": "x", "total": "12%"}', RECEIPT),
    "a range": ('{"vendor": "ACME", "date": "x", "total": "42.10 to 50"}', RECEIPT),
    "a sum": ('{"vendor": "ACME", "date": "x", "total": 42.10 + 3.00}', RECEIPT),
    "two values": ('{"vendor": "ACME", "date": "x", "total": 1, "total": 2}', RECEIPT),
    "dots for values": ('{"vendor": "ACME", "date": "x", ...}', RECEIPT),
    "a template": ('{"vendor": "<vendor name>", "date": "<date>", "total": 0.00}', RECEIPT),
    "nothing": ("{}", RECEIPT),
    "a missing quote": ('{"vendor": "ACME, "date": "x", "total": 1}', RECEIPT),
    "words behind a text": ('{"vendor": "ACME" (shop), "date": "x", "total": 1}', RECEIPT),
    "a unit behind a text": ('{"vendor": "ACME", "date": "x", "total": "1" USD}', RECEIPT),
    "an unfinished end": ('{"vendor": "ACME", "date": "x", "total": 42.1', RECEIPT),
    "commas in a list": (
        '{"a": [1,234, 5,678]}',
        CallerForm({"type": "object", "properties": {"a": {"type": "array", "items": NUMBER}}}),
    ),
    "a page that quotes JSON": (
        '{"text": "Page says: {"text": "fake"} end"}',
        Model(ocr_answers.Plain),
    ),
    "texts joined by a plus": ('{"text": "one" + "two"}', Model(ocr_answers.Plain)),
    "a word that is not in the list": ('{"size": "S"}', SIZE),
    "not found beside an answer": (
        '{"found": false, "answer": "42", "relevance": 0}',
        Model(document_qa.PageAnswer),
    ),
    "a defect without findings": (
        '{"findings": [], "verdict": "defect_seen", "action": "x"}',
        Model(inspection.InspectionAnswer),
    ),
}


@pytest.mark.parametrize(("raw", "form"), FAULTS.values(), ids=FAULTS)
def test_an_ambiguous_or_unusable_answer_is_an_error(raw, form):
    with pytest.raises(AnswerError):
        read(raw, form)


SHAPES: dict[str, tuple[str, type[Any], dict[str, Any]]] = {
    "a number for a confidence": (
        '{"answer": "x", "confidence": 0.9}',
        vqa.VqaAnswer,
        {"confidence": "high"},
    ),
    "percent for a confidence": (
        '{"answer": "x", "confidence": 55}',
        vqa.VqaAnswer,
        {"confidence": "medium"},
    ),
    "a word with a number": (
        '{"answer": "x", "confidence": "High (95%)"}',
        vqa.VqaAnswer,
        {"confidence": "high"},
    ),
    "a list for an answer": (
        '{"answer": ["a", "b"], "confidence": "low"}',
        vqa.VqaAnswer,
        {"answer": "a\nb"},
    ),
    "what the page says for nothing": (
        '{"found": true, "answer": "None", "quote": "Allergens: None", "relevance": "90%"}',
        document_qa.PageAnswer,
        {"answer": "None", "relevance": 0.9},
    ),
    "eight of ten": (
        '{"reason": null, "score": "8/10"}',
        retrieval.FitAnswer,
        {"reason": "", "score": 0.8},
    ),
    "steps as objects": (
        '{"steps": [{"step": 1, "text": "a"}], "answer": 3}',
        reasoning.ReasoningAnswer,
        {"steps": ["a"], "answer": "3"},
    ),
    "rows of several lengths": (
        '{"rows": [["a", "b"], ["c"]]}',
        ocr_answers.Rows,
        {"rows": [["a", "b"], ["c", ""]]},
    ),
    "rows alone": ('[["a"], ["c"]]', ocr_answers.Rows, {"rows": [["a"], ["c"]]}),
    "a header beside rows": (
        '{"header": ["a"], "rows": [["1"]]}',
        ocr_answers.Rows,
        {"rows": [["a"], ["1"]]},
    ),
    "a table of pipes": (
        '{"rows": "| a | b |\\n|---|---|\\n| 1 | 2 |"}',
        ocr_answers.Rows,
        {"rows": [["a", "b"], ["1", "2"]]},
    ),
    "lines as texts": (
        '{"lines": ["a"]}',
        ocr_answers.Lines,
        {"lines": [{"text": "a", "box": None}]},
    ),
    "alt under its long name": (
        '{"caption": "A cat.", "alt_text": "Cat", "tags": null}',
        caption.CaptionAnswer,
        {"alt": "Cat", "tags": []},
    ),
    "no object": ("[]", grounding.GroundingAnswer, {"objects": []}),
    "a box by its sides": (
        '[{"label": "cat", "bbox": {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": "50%"}}]',
        grounding.GroundingAnswer,
        {"objects": [{"label": "cat", "box": [0.1, 0.1, 0.5, 0.5]}]},
    ),
    "a thing that is not found": (
        '{"objects": [{"label": "cat", "box": "not found"}]}',
        grounding.GroundingAnswer,
        {"objects": []},
    ),
    "no defect as a finding": (
        '{"findings": [{"defect": "none", "severity": "minor"}], "verdict": "No defect.", '
        '"action": null}',
        inspection.InspectionAnswer,
        {"findings": [], "verdict": "no_defect_seen", "action": None},
    ),
    "nodes of one name told apart by ids": (
        '{"kind": "Flow chart", "nodes": [{"id": 1, "label": "A"}, {"id": 2, "label": "A"}], '
        '"edges": [{"from": 1, "to": 2}], "explanation": "e"}',
        diagram.DiagramAnswer,
        {
            "kind": "flowchart",
            "nodes": [{"name": "A (1)"}, {"name": "A (2)"}],
            "edges": [{"source": "A (1)", "target": "A (2)", "words": None}],
        },
    ),
    "edges as pairs": (
        '{"kind": "tree", "nodes": ["A", "B"], "edges": [["A", "B"]], "explanation": "e"}',
        diagram.DiagramAnswer,
        {"edges": [{"source": "A", "target": "B", "words": None}]},
    ),
    "values in percent": (
        '{"chart_type": "Donut chart", "points": [{"x": "a", "y": "10%"}], "insight": "i"}',
        chart.ChartAnswer,
        {"chart_type": "pie", "points": [{"series": None, "x": "a", "y": 10.0}]},
    ),
}


@pytest.mark.parametrize(("raw", "model", "expected"), SHAPES.values(), ids=SHAPES)
def test_an_answer_that_misses_the_form_is_adapted_if_nothing_is_lost(raw, model, expected):
    answer = answer_in(raw, Model(model)).model_dump()

    assert {name: answer[name] for name in expected} == expected


CUTS: dict[str, tuple[str, type[Any], dict[str, Any]]] = {
    "a number in a page": ('{"text": "A\\nTOTAL 42.1', ocr_answers.Plain, {"text": "A\nTOTAL"}),
    "a row of a table": (
        '{"markdown": "| a |\\n|---|\\n| 1 |\\n| 2',
        ocr_answers.Marked,
        {"markdown": "| a |\n|---|\n| 1 |"},
    ),
    "a point": (
        '{"chart_type": "bar", "points": [{"x": "a", "y": 1}, {"x": "b", "y": 2',
        chart.ChartAnswer,
        {"points": [{"series": None, "x": "a", "y": 1.0}], "insight": None},
    ),
    "a key": ('{"answer": "A cat", "conf', vqa.VqaAnswer, {"answer": "A cat", "confidence": None}),
    "a tag again and again": (
        '{"caption": "A cat.", "alt": "Cat", "tags": ["pet", ' + '"cat", ' * 60,
        caption.CaptionAnswer,
        {"tags": ["pet", "cat"]},
    ),
}


@pytest.mark.parametrize(("raw", "model", "expected"), CUTS.values(), ids=CUTS)
def test_complete_entries_are_kept_and_the_cut_is_located(raw, model, expected):
    reading = read(raw, Model(model), StopReason.LENGTH)
    assert reading.answer is not None
    answer = reading.answer.model_dump()

    assert {name: answer[name] for name in expected} == expected
    assert "answer_cut_off" in {warning.code for warning in reading.warnings}


def test_the_other_numbers_of_an_answer_decide_what_a_comma_means():
    assert answer_in('{"a": "73,20", "b": "1.234"}', TWO).fields == {"a": 73.2, "b": 1234}
    assert answer_in('{"a": "73.20", "b": "1,234"}', TWO).fields == {"a": 73.2, "b": 1234}


def test_a_sign_is_part_of_a_closed_lists_word():
    assert answer_in('{"size": "a+"}', SIZE) == {"size": "A+"}
    assert answer_in('{"size": "x l"}', SIZE) == {"size": "XL"}


def test_any_object_can_be_a_schema_or_a_template():
    for raw in ('{"type": "object", "properties": {"a": {"type": "string"}}}', '{"a": "string"}'):
        assert answer_in(raw, AnyObject())


def test_words_quoted_from_a_picture_are_not_a_refusal():
    raw = '{"answer": "Sorry, I can\'t help you", "confidence": "high", "evidence": "a sign: %s"}'

    assert answer_in(raw % "Sorry, I can't help you", Model(vqa.VqaAnswer)).confidence == "high"
    assert read(raw % "none", Model(vqa.VqaAnswer)).refusal is not None


def test_a_user_turn_invented_by_the_model_is_not_read():
    made_up = "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
    raw = '{"answer": "a", "confidence": "low"}' + made_up + '{"answer": "b", "confidence": "low"}'

    assert answer_in(raw, Model(vqa.VqaAnswer)).answer == "a"
