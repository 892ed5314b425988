"""Answers of an 11B vision model that miss the form, and what is read from each."""

from typing import Any

import pytest

from app.domain.generation import StopReason
from app.services.answers.exact import SchemaForm
from app.services.answers.form import Form, Model
from app.services.answers.reading import read
from app.services.answers.schema_form import CallerForm
from app.services.answers.text.notes import AnswerError
from app.services.answers.text.refusal import refusal
from app.services.tasks import (
    caption,
    chart,
    compare,
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


def fields(**parts: Any) -> CallerForm:
    return CallerForm({"type": "object", "properties": parts})


RECEIPT = fields(vendor=TEXT, date=TEXT, total=NUMBER)
TAGS = fields(title=TEXT, tags={"type": "array", "items": TEXT})
TABLE = fields(rows={"type": "array", "items": {"type": "array", "items": TEXT}})
NUMBERS = fields(values={"type": "array", "items": NUMBER})
SIGNED = fields(signed={"enum": ["yes", "no"]}, status={"enum": ["single", "married"]})
TOOL = fields(status=TEXT, total=NUMBER, id=TEXT)
ACME = {"vendor": "ACME", "date": "2024-01-05", "total": 42.1}

FIELDS: dict[str, tuple[CallerForm, str, dict[str, Any]]] = {
    "lists of one": (
        RECEIPT,
        '{"vendor": ["ACME"], "date": ["2024-01-05"], "total": [42.10]}',
        ACME,
    ),
    "a field beside the wrapper of the others": (
        RECEIPT,
        '{"vendor": "ACME", "receipt": {"date": "2024-01-05", "total": 42.10}}',
        ACME,
    ),
    "an envelope with a field of the same name": (
        TOOL,
        '{"status": "success", "data": {"total": 3, "id": "A1"}}',
        {"status": None, "total": 3, "id": "A1"},
    ),
    "an object for each field": (
        RECEIPT,
        '{"vendor": "ACME"}\n{"date": "2024-01-05"}\n{"total": 42.10}',
        ACME,
    ),
    "a list of an object for each field": (
        RECEIPT,
        '[{"vendor": "ACME"}, {"date": "2024-01-05", "total": 42.10}]',
        ACME,
    ),
    "words for no number": (
        RECEIPT,
        '{"vendor": "ACME", "date": "2024-01-05", "total": "not specified"}',
        {**ACME, "total": None},
    ),
    "German words for no number": (
        RECEIPT,
        '{"vendor": "ACME", "date": "2024-01-05", "total": "keine Angabe"}',
        {**ACME, "total": None},
    ),
    "a sentence about the picture for a text": (
        RECEIPT,
        '{"vendor": "The vendor is not visible in the image.", "date": "x", "total": 1}',
        {"vendor": None, "date": "x", "total": 1},
    ),
    "what a page may say for a text": (
        RECEIPT,
        '{"vendor": "Not provided", "date": "N/A", "total": 1}',
        {"vendor": "Not provided", "date": "N/A", "total": 1},
    ),
    "null in quotes": (
        RECEIPT,
        '{"vendor": "null", "date": "Null", "total": "null"}',
        {"vendor": None, "date": "Null", "total": None},
    ),
    "no entry in a list of texts": (
        TAGS,
        '{"title": "x", "tags": ["a", null, 2]}',
        {"title": "x", "tags": ["a", "2"]},
    ),
    "an empty cell in a row": (
        TABLE,
        '{"rows": [[null, "a"], ["b", null]]}',
        {"rows": [["", "a"], ["b", ""]]},
    ),
    "an empty list for a text": (TAGS, '{"title": [], "tags": []}', {"title": None, "tags": []}),
    "a word with brackets of a closed list": (
        SIGNED,
        '{"signed": "yes", "status": "Married (since 2010)"}',
        {"signed": "yes", "status": "married"},
    ),
    "a truth for yes and no": (
        SIGNED,
        '{"signed": true, "status": "unknown"}',
        {"signed": "yes", "status": None},
    ),
    "another language's yes": (
        SIGNED,
        '{"signed": "Ja", "status": "n/a"}',
        {"signed": "yes", "status": None},
    ),
    "dense numbers": (NUMBERS, '{"values": [100,200,300]}', {"values": [100, 200, 300]}),
}


@pytest.mark.parametrize(("form", "raw", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields_are_read_from_each_imperfect_form(form, raw, expected):
    assert answer_in(raw, form).fields == expected


FAULTS: dict[str, tuple[Form[Any], str]] = {
    "thousands after other cells": (
        Model(ocr_answers.Rows),
        '{"rows": [["a", 1,234.50], ["b", 12]]}',
    ),
    "thousands at the end of a list": (NUMBERS, '{"values": [1, 2,345]}'),
    "one text for a list of texts": (TAGS, '{"title": "x", "tags": "a, b, c"}'),
    "a table as text for rows": (TABLE, '{"rows": "| a | b |\\n| 1 | 2 |"}'),
    "places to fill with a date among them": (
        RECEIPT,
        '{"vendor": "<name>", "date": "YYYY-MM-DD", "total": 0.0}',
    ),
    "words of a closed list as a template": (
        Model(vqa.VqaAnswer),
        '{"answer": "...", "confidence": "high|medium|low"}',
    ),
    "millions for a number": (
        Model(chart.ChartAnswer),
        '{"chart_type": "bar", "points": [{"x": "a", "y": "$12M"}], "insight": "x"}',
    ),
    "a truth for a height": (
        Model(chart.ChartAnswer),
        '{"chart_type": "bar", "points": [{"x": "a", "y": true}], "insight": "x"}',
    ),
    "a truth for a score": (Model(retrieval.FitAnswer), '{"reason": "a cat", "score": true}'),
    "nodes within nodes": (
        Model(diagram.DiagramAnswer),
        '{"kind": "tree", "nodes": [{"name": "A", "children": [{"name": "B"}]}], '
        '"edges": [], "explanation": "x"}',
    ),
    "numbers in brackets in prose": (Model(ocr_answers.Lines), "ACME [0,0,1,0.1]"),
    "marks of notes in prose": (Model(ocr_answers.Lines), "See note [1] and [2]."),
    "a value that is missing in a form of its own": (
        SchemaForm({"type": "object", "properties": {"total": NUMBER}, "required": ["total"]}),
        '{"total": "not stated"}',
    ),
}


@pytest.mark.parametrize(("form", "raw"), FAULTS.values(), ids=FAULTS)
def test_an_answer_that_cannot_be_read_safely_is_asked_for_again(form, raw):
    with pytest.raises(AnswerError):
        read(raw, form)


CAT, DOG = (
    {"label": "cat", "box": [0.1, 0.2, 0.5, 0.6]},
    {"label": "dog", "box": [0.5, 0.2, 0.9, 0.6]},
)
SCRATCH = '{"defect": "scratch", "severity": "minor", "place": "door", "details": "thin"}'

READ: dict[str, tuple[type, str, dict[str, Any]]] = {
    "an object for each place": (
        grounding.GroundingAnswer,
        '{"label": "cat", "box": [0.1,0.2,0.5,0.6]}\n{"label": "dog", "box": [0.5,0.2,0.9,0.6]}',
        {"objects": [CAT, DOG]},
    ),
    "one place alone": (
        grounding.GroundingAnswer,
        '{"label": "cat", "box": [0.1, 0.2, 0.5, 0.6]}',
        {"objects": [CAT]},
    ),
    "a box by its width and height": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "cat", "box": {"x": 0.1, "y": 0.2, "width": 0.4, "height": 0.4}}]}',
        {"objects": [CAT]},
    ),
    "a box in a list": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "cat", "box": [[0.1, 0.2, 0.5, 0.6]]}]}',
        {"objects": [CAT]},
    ),
    "a word for no objects": (
        grounding.GroundingAnswer,
        '{"objects": "none"}',
        {"objects": []},
    ),
    "an object for each line": (
        ocr_answers.Lines,
        '{"text": "ACME", "box": [0,0,1,0.1]}\n{"text": "TOTAL", "box": null}',
        {
            "lines": [
                {"text": "ACME", "box": [0.0, 0.0, 1.0, 0.1]},
                {"text": "TOTAL", "box": None},
            ]
        },
    ),
    "pairs for lines": (
        ocr_answers.Lines,
        '{"lines": [["ACME", [0,0,1,0.1]], null]}',
        {
            "lines": [
                {"text": "ACME", "box": [0.0, 0.0, 1.0, 0.1]},
                {"text": "", "box": None},
            ]
        },
    ),
    "a menu with bars in it": (
        ocr_answers.Plain,
        '{"text": "Home | About | Contact"}',
        {"text": "Home | About | Contact"},
    ),
    "words for no text": (
        ocr_answers.Plain,
        '{"text": "No text found in the image."}',
        {"text": ""},
    ),
    "a page that begins like words for no text": (
        ocr_answers.Plain,
        '{"text": "No text in class. Phones off."}',
        {"text": "No text in class. Phones off."},
    ),
    "lines as objects": (
        ocr_answers.Plain,
        '{"text": [{"line": "ACME"}, {"line": "TOTAL"}]}',
        {"text": "ACME\nTOTAL"},
    ),
    "rows as texts with bars": (
        ocr_answers.Rows,
        '{"rows": ["a | b", "1 | 2"]}',
        {"rows": [["a", "b"], ["1", "2"]]},
    ),
    "hash tags in one text": (
        caption.CaptionAnswer,
        '{"caption": "A cat.", "alt": "Cat", "hashtags": "#cat #pet"}',
        {"tags": ["#cat", "#pet"]},
    ),
    "tags as objects": (
        caption.CaptionAnswer,
        '{"caption": "A cat.", "alt": "Cat", "tags": [{"tag": "cat"}, {"tag": "pet"}]}',
        {"tags": ["cat", "pet"]},
    ),
    "a word for no tags": (
        caption.CaptionAnswer,
        '{"caption": "A cat.", "alt": "Cat", "tags": "none"}',
        {"tags": []},
    ),
    "steps in one text": (
        reasoning.ReasoningAnswer,
        '{"steps": "1. Count\\n2. Subtract", "answer": 3}',
        {"steps": ["1. Count", "2. Subtract"], "answer": "3"},
    ),
    "steps under their numbers": (
        reasoning.ReasoningAnswer,
        '{"steps": {"1": "Count", "step 2": "Subtract"}, "answer": "3"}',
        {"steps": ["Count", "Subtract"]},
    ),
    "the answer in an object of its own": (
        reasoning.ReasoningAnswer,
        '{"steps": ["Count"]}\n{"answer": "3"}',
        {"steps": ["Count"], "answer": "3"},
    ),
    "differences under what differs": (
        compare.Comparison,
        '{"differences": {"colour": "red, blue", "size": "big, small"}, "similarities": "none"}',
        {"differences": ["colour: red, blue", "size: big, small"], "similarities": []},
    ),
    "a word for no text in a picture": (
        compare.Description,
        '{"description": "A cat.", "text": "None"}',
        {"text": ""},
    ),
    "no reason": (retrieval.FitAnswer, '{"score": 0.9}', {"score": 0.9, "reason": ""}),
    "columns for points": (
        chart.ChartAnswer,
        '{"chart_type": "line", "points": {"x": [2020, 2021], "y": [1, 2]}, "insight": "up"}',
        {
            "points": [
                {"series": None, "x": "2020", "y": 1.0},
                {"series": None, "x": "2021", "y": 2.0},
            ]
        },
    ),
    "arrows for edges": (
        diagram.DiagramAnswer,
        '{"kind": "flowchart", "nodes": ["A", "B"], "edges": ["A --> B"], "explanation": "x"}',
        {"edges": [{"source": "A", "target": "B", "words": None}]},
    ),
    "words for no finding": (
        inspection.InspectionAnswer,
        '{"findings": ["No visible defects."], "verdict": "No defects found", "action": "x"}',
        {"findings": [], "verdict": "no_defect_seen"},
    ),
    "a word for no findings": (
        inspection.InspectionAnswer,
        '{"findings": "None", "verdict": "pass", "action": "x"}',
        {"findings": [], "verdict": "no_defect_seen"},
    ),
    "a finding that begins with no": (
        inspection.InspectionAnswer,
        f'{{"findings": [{SCRATCH.replace("scratch", "No paint")}], "verdict": "defect_seen", '
        '"action": "x"}',
        {"verdict": "defect_seen"},
    ),
    "an excuse for no answer": (
        document_qa.PageAnswer,
        '{"found": false, "answer": "Not found on this page.", "quote": null, "relevance": 0}',
        {"answer": None},
    ),
    "what the page says for no answer": (
        document_qa.PageAnswer,
        '{"found": true, "answer": "Not specified", "quote": "Cause: Not specified", '
        '"relevance": 1}',
        {"answer": "Not specified"},
    ),
    "a confidence with its reason": (
        vqa.VqaAnswer,
        '{"answer": "Yes", "confidence": "High, because it is clear"}',
        {"confidence": "high"},
    ),
}


@pytest.mark.parametrize(("model", "raw", "expected"), READ.values(), ids=READ)
def test_an_imperfect_answer_is_read_without_another_call(model, raw, expected):
    answer = answer_in(raw, Model(model)).model_dump()

    assert {name: answer[name] for name in expected} == expected


@pytest.mark.parametrize("raw", ['{"tags": "a, b"}', '{"title": ["a", "b"]}'])
def test_an_answer_that_cannot_be_repaired_is_kept_with_a_warning(raw):
    with pytest.raises(AnswerError) as fault:
        read(raw, TAGS)

    fallback = fault.value.fallback
    assert fallback is not None
    assert [warning.code for warning in fallback.warnings] == ["shape_assumed"]


CUT: dict[str, tuple[Form[Any], str, dict[str, Any]]] = {
    "the verdict": (
        Model(inspection.InspectionAnswer),
        f'{{"findings": [{SCRATCH}], "verdict": "def',
        {"verdict": "uncertain", "action": None},
    ),
    "the reason": (
        Model(retrieval.FitAnswer),
        '{"score": 0.9, "reason": "a ca',
        {"score": 0.9, "reason": ""},
    ),
}


@pytest.mark.parametrize(("form", "raw", "expected"), CUT.values(), ids=CUT)
def test_complete_values_before_the_cut_are_kept(form, raw, expected):
    reading = read(raw, form, StopReason.LENGTH)

    assert reading.answer is not None
    answer = reading.answer.model_dump()
    assert {name: answer[name] for name in expected} == expected
    assert "answer_cut_off" in {warning.code for warning in reading.warnings}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("I cannot read the image", "image_not_seen"),
        ("I don't have access to the image.", "image_not_seen"),
        ("The image is not visible to me.", "image_not_seen"),
        ("Bitte laden Sie das Bild hoch.", "image_not_seen"),
        ("It is not possible for me to extract this.", "refused"),
        ("I would prefer not to answer this question.", "refused"),
        ("Ich bin nicht in der Lage, Personen zu benennen.", "refused"),
    ],
)
def test_a_refusal_is_recognised(words, code):
    said = refusal(words)

    assert said is not None
    assert said.code == code


@pytest.mark.parametrize(
    "words",
    [
        "I can't help falling in love with you",
        "I cannot read a date on this receipt.",
        "Please upload a photo of your ID.",
        "We cannot accept returns without a receipt.",
    ],
)
def test_words_quoted_from_a_picture_are_not_a_refusal(words):
    assert refusal(words) is None


def test_an_object_saying_only_that_there_is_no_picture_is_not_an_invalid_answer():
    reading = read('{"error": "I cannot read the image"}', RECEIPT)

    assert reading.refusal is not None
    assert reading.refusal.image_not_seen
