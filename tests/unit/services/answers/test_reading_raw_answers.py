"""Real answers of an 11B model around its JSON, read through each task's form."""

import pytest

from app.services.answers.form import Model
from app.services.answers.text.notes import AnswerError
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

VQA = '{"answer": "A cat", "confidence": "high", "evidence": "whiskers"}'

READABLE = {
    "as asked": (vqa.VqaAnswer, VQA),
    "in a fence": (vqa.VqaAnswer, f"```json\n{VQA}\n```"),
    "in a fence without a language": (vqa.VqaAnswer, f"```\n{VQA}\n```"),
    "in a fence that is never closed": (vqa.VqaAnswer, f"```json\n{VQA}"),
    "after prose": (vqa.VqaAnswer, f"Sure! Here is the JSON you asked for:\n\n{VQA}"),
    "before prose": (vqa.VqaAnswer, f"{VQA}\n\nLet me know if you need anything else."),
    "between prose with braces": (vqa.VqaAnswer, f"I use {{this form}} as told: {VQA} {{done}}"),
    "in a fence between prose": (vqa.VqaAnswer, f"The answer is:\n```json\n{VQA}\n```\nI hope."),
    "in doubled braces": (vqa.VqaAnswer, f"{{{VQA}}}"),
    "twice": (vqa.VqaAnswer, f"{VQA}\n{VQA}"),
    "in a list": (vqa.VqaAnswer, f"[{VQA}]"),
    "with a trailing comma": (vqa.VqaAnswer, VQA.replace("}", ",}")),
    "in single quotes": (vqa.VqaAnswer, VQA.replace('"', "'")),
    "with bare keys": (vqa.VqaAnswer, '{answer: "A cat", confidence: "high"}'),
    "with a comment": (vqa.VqaAnswer, '{"answer": "A cat", // sure\n "confidence": "high"}'),
    "without its last brace": (vqa.VqaAnswer, VQA[:-1]),
    "cut off in its last text": (vqa.VqaAnswer, VQA[:-6]),
    "with a word in capitals": (vqa.VqaAnswer, VQA.replace("high", "High")),
    "with Python's words": (
        document_qa.PageAnswer,
        '{"found": True, "answer": "A cat", "quote": None, "relevance": 1}',
    ),
    "with more keys than asked for": (vqa.VqaAnswer, VQA.replace("}", ', "note": "x"}')),
    "with line breaks in a text": (vqa.VqaAnswer, VQA.replace("A cat", "A\ncat")),
    "as a number": (vqa.VqaAnswer, '{"answer": 7, "confidence": "low"}'),
    "in German": (vqa.VqaAnswer, '{"answer": "Eine Katze", "confidence": "high"}'),
    "in Hindi": (vqa.VqaAnswer, '{"answer": "एक बिल्ली", "confidence": "high"}'),
    "with a word for nothing": (vqa.VqaAnswer, VQA.replace("whiskers", "N/A")),
    "with one tag for a list": (
        caption.CaptionAnswer,
        '{"caption": "A cat.", "alt": "Cat", "tags": "cat"}',
    ),
    "with null for a list": (
        caption.CaptionAnswer,
        '{"caption": "A cat.", "alt": "Cat", "tags": null}',
    ),
    "with scores as text": (retrieval.FitAnswer, '{"reason": "a cat", "score": "0.8"}'),
    "cut off within a list of objects": (
        ocr_answers.Lines,
        '{"lines": [{"text": "one", "box": [0, 0, 1, 0.1]}, {"text": "two", "box": [0, 0.2',
    ),
    "with raw line breaks in a page": (ocr_answers.Plain, '{"text": "TOTAL\n42.10"}'),
    "with rows of numbers": (ocr_answers.Rows, '{"rows": [["a", 1], ["b", 2.5]]}'),
    "with a missing value in a chart": (
        chart.ChartAnswer,
        '{"chart_type": "Bar", "points": [{"x": 2024, "y": null}], "insight": "up"}',
    ),
    "with steps in prose before": (
        reasoning.ReasoningAnswer,
        'Let me think.\n1. There is a cat.\n{"steps": ["a cat"], "answer": "yes"}',
    ),
    "with an edge between nodes": (
        diagram.DiagramAnswer,
        '{"kind": "flowchart", "nodes": [{"name": "A"}, {"name": "B"}], '
        '"edges": [{"from": "A", "to": "B"}], "explanation": "A leads to B."}',
    ),
    "without findings": (
        inspection.InspectionAnswer,
        '{"findings": [], "verdict": "uncertain", "action": "Look closer."}',
    ),
    "with one difference": (
        compare.Comparison,
        '{"differences": "colour", "similarities": []}',
    ),
}

UNREADABLE = {
    "a number without end": (
        vqa.VqaAnswer,
        f'{{"confidence": "low", "answer": {"1" * 5000}',
        "answer: Field required",
    ),
    "no JSON": (vqa.VqaAnswer, "It is a cat.", "no JSON object"),
    "nothing": (vqa.VqaAnswer, "", "no JSON object"),
    "a list": (vqa.VqaAnswer, '["A cat"]', "no JSON object"),
    "nested without end": (vqa.VqaAnswer, '{"answer":' * 900 + "1" + "}" * 900, "no JSON object"),
    "only braces": (vqa.VqaAnswer, "{" * 5000, "no JSON object"),
    "another form": (vqa.VqaAnswer, '{"colour": "red"}', "answer: Field required"),
    "the schema itself": (vqa.VqaAnswer, '{"type": "object", "properties": {}}', "no JSON object"),
    "a word that is none of the few": (
        vqa.VqaAnswer,
        VQA.replace("high", "so so"),
        "confidence",
    ),
    "a score over its range": (retrieval.FitAnswer, '{"reason": "x", "score": 85}', "score"),
    "a score below its range": (retrieval.FitAnswer, '{"reason": "x", "score": -0.1}', "score"),
    "a score that is no number": (retrieval.FitAnswer, '{"reason": "x", "score": NaN}', "score"),
    "a box in pixels": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "a", "box": [10, 20, 200, 300]}]}',
        "objects.0.box",
    ),
    "a box in percent": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "a", "box": [0.1, 0.2, 50, 60]}]}',
        "objects.0.box",
    ),
    "a box inside out": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "a", "box": [0.5, 0.2, 0.1, 0.6]}]}',
        "left < right",
    ),
    "a box of three numbers": (
        grounding.GroundingAnswer,
        '{"objects": [{"label": "a", "box": [0.5, 0.2, 0.1]}]}',
        "objects.0.box",
    ),
    "an edge to nowhere": (
        diagram.DiagramAnswer,
        '{"kind": "tree", "nodes": [{"name": "A"}], "edges": [{"from": "A", "to": "B"}], '
        '"explanation": "x"}',
        "not there: B",
    ),
    "cut off before what counts": (vqa.VqaAnswer, '{"answer": "A c', "confidence"),
}


@pytest.mark.parametrize(("model", "text"), READABLE.values(), ids=READABLE)
def test_an_answer_is_read_in_any_wrapping(model, text):
    answer = answer_in(text, Model(model))

    assert isinstance(answer, model)


@pytest.mark.parametrize(("model", "text", "fault"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unusable_answer_is_refused_with_the_reason(model, text, fault):
    with pytest.raises(AnswerError, match=fault):
        answer_in(text, Model(model))


def test_the_values_are_unchanged_by_their_wrapping():
    wrapped = answer_in(f"Sure!\n```json\n{VQA[:-1]},}}\n```\nBye {{}}", Model(vqa.VqaAnswer))

    assert wrapped.model_dump() == {
        "answer": "A cat",
        "confidence": "high",
        "evidence": "whiskers",
    }


@pytest.mark.parametrize("written", [r"\ud83d", r"\ud83d\ud83d"])
def test_a_lone_surrogate_does_not_make_an_answer_unserialisable(written):
    answer = answer_in(VQA.replace("A cat", f"A cat {written}"), Model(vqa.VqaAnswer))

    assert answer.answer == "A cat " + "?" * (len(written) // 6)


def test_complete_entries_of_a_truncated_list_are_kept():
    _, text = READABLE["cut off within a list of objects"]

    assert [line.text for line in answer_in(text, Model(ocr_answers.Lines)).lines] == ["one"]


def test_prose_with_braces_is_not_mistaken_for_the_answer():
    _, text = READABLE["between prose with braces"]

    assert answer_in(text, Model(vqa.VqaAnswer)).answer == "A cat"


def test_the_schema_in_a_prompt_contains_no_references():
    for model in (grounding.GroundingAnswer, chart.ChartAnswer, diagram.DiagramAnswer):
        schema = Model(model).schema

        assert "$ref" not in str(schema)
        assert set(schema["properties"]) == set(model.model_json_schema()["properties"])
